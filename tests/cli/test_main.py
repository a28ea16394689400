"""Global behaviour: help without heavy imports, docker's words for misuse, and its exit statuses."""

import subprocess
import sys

import pytest

from lstore.cli.verbs import FAMILIES, VERBS
from lstore.version import __version__

HEAVY = ("requests", "rich", "cryptography", "zstandard", "isal", "layerstore.store")
_IMPORTED = """
import sys
from lstore.cli.main import run
from lstore.cli.settings import environment, streams
status = run({arguments!r}, streams(), environment())
sys.stderr.write(" ".join(sys.modules))
sys.exit(status)
"""


@pytest.mark.parametrize(
    "arguments", [["--help"], ["image", "--help"], ["--version"], ["system"], ["nonsense"]], ids=" ".join
)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    script = _IMPORTED.format(arguments=arguments)

    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    imported = result.stderr.split()
    assert "lstore.cli.main" in imported
    assert [name for name in HEAVY if name in imported] == []


def test_completion_imports_nothing_heavy() -> None:
    script = _IMPORTED.format(arguments=[])
    environment = {"_LSTORE_COMPLETE": "bash_complete", "COMP_WORDS": "lstore im", "COMP_CWORD": "1"}

    result = subprocess.run(
        [sys.executable, "-c", "import sys\ntry:\n" + "".join(f"    {line}\n" for line in script.splitlines())
         + "finally:\n    sys.stderr.write(' '.join(sys.modules))"],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip

    assert "plain,images" in result.stdout
    assert [name for name in HEAVY if name in result.stderr.split()] == []


def test_help_lists_every_command(lstore, capsys: pytest.CaptureFixture[str]) -> None:
    result = lstore("--help")

    text = capsys.readouterr().out
    assert result.status == 0
    listed = {name for name, verb in VERBS.items() if not verb.is_hidden} | set(FAMILIES)
    assert {name for name in (*VERBS, *FAMILIES) if f"\n  {name} " in text} == listed


@pytest.mark.parametrize(
    "name", [*VERBS, *(f"{k} {v}" for k, family in FAMILIES.items() for v in family.verbs)]
)
def test_every_command_of_the_table_exists_and_explains_itself(
    lstore, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    result = lstore(*name.split(), "--help")

    assert result.status == 0
    assert capsys.readouterr().out.startswith(f"Usage: lstore {name} ")


def test_the_version_is_told(lstore, capsys: pytest.CaptureFixture[str]) -> None:
    assert lstore("--version").status == 0
    assert capsys.readouterr().out == f"lstore version {__version__}\n"


def test_without_a_command_there_is_help(lstore, capsys: pytest.CaptureFixture[str]) -> None:
    assert lstore().status == 0
    assert "Management commands:" in capsys.readouterr().out


MISUSE = [
    (["frobnicate"], 1, "'frobnicate' is not a command of lstore", "lstore --help"),
    (["imags"], 1, "'imags' is not a command of lstore", "lstore images"),
    (["image", "lss"], 1, "'lss' is not a command of lstore image", "lstore image ls"),
    (["images", "--quite"], 125, "unknown flag: --quite (did you mean --quiet?)", "lstore images --help"),
    (["images", "-z"], 125, "unknown shorthand flag: 'z' in -z", "lstore images --help"),
    (["images", "--format"], 125, "flag needs an argument: --format", "lstore images --help"),
    (["images", "a", "b"], 125, "'lstore images' requires at most 1 argument", "lstore images --help"),
    (["tag", "a"], 125, "'lstore tag' requires 2 arguments", "lstore tag --help"),
    (["rmi"], 125, "'lstore rmi' requires at least 1 argument", "lstore rmi --help"),
    (["history", "a", "b"], 125, "'lstore history' requires 1 argument", "lstore history --help"),
    (
        ["--log-level", "loud", "images"],
        125,
        "invalid argument for '--log-level' flag: 'loud'",
        "lstore --help",
    ),
    (["images", "--filter", "x"], 125, "invalid filter 'x': it must be KEY=VALUE", ""),
    (["images", "--format", "{{.Nope"], 125, "this action is never closed", ""),
]


@pytest.mark.parametrize(("arguments", "status", "message", "hint"), MISUSE)
def test_misuse_is_told_in_one_line_with_a_hint(
    lstore, arguments: list[str], status: int, message: str, hint: str
) -> None:
    result = lstore(*arguments)

    assert result.status == status
    first, *rest = result.err.splitlines()
    assert first.startswith("lstore: ")
    assert message in first
    assert rest == ([f"  try: {hint}"] if hint else [])
    assert result.out == ""
