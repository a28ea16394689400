"""The README's session is a real one: each command is run, and shows what the page shows."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from fixtures.registry import Registry

README = Path(__file__).parents[2] / "README.md"
_SESSION = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
_SNIPPET = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
_VARIES = (
    (re.compile(r"[0-9a-f]{64}"), "DIGEST"),
    (re.compile(r"\b[0-9a-f]{12}\b"), "ID"),
    (re.compile(r"(\d+|About an?|Less than a) \w+ ago *"), "AGE "),
    (re.compile(r"\b\d+(\.\d+)?[kM]?B *"), "SIZE "),
    (re.compile(r"^(TYPE|REPOSITORY) .*$", re.MULTILINE), r"\1"),
    (re.compile(r"linux/\w+"), "PLATFORM"),
)
"""What differs from one busybox, one host and one day to the next."""


@dataclass(frozen=True, slots=True)
class Step:
    """One command of the session and what it shows, standard output and error together."""

    command: str
    shown: str


def steps() -> list[Step]:
    found = []
    for session in _SESSION.findall(README.read_text()):
        for block in re.split(r"^\$ ", session, flags=re.MULTILINE)[1:]:
            command, _, shown = block.partition("\n")
            found.append(Step(command, shown))
    return found


def without_what_varies(text: str) -> str:
    for pattern, word in _VARIES:
        text = pattern.sub(word, text)
    return text


@pytest.mark.root
def test_the_session_is_real(tmp_path: Path, registry: Registry, busybox_layout: Path) -> None:
    (tmp_path / "busybox").symlink_to(busybox_layout)
    program = tmp_path / "bin" / "lstore"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m lstore "$@"\n')
    program.chmod(0o755)
    environment = {
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(README.parent),
        "LSTORE_ROOT": str(tmp_path / "store"),
        "HOME": str(tmp_path),
    }

    for step in steps():
        command = step.command.replace("localhost:5000", registry.address)
        result = subprocess.run(
            ["/bin/sh", "-c", command],
            cwd=tmp_path, env=environment, text=True, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        )  # fmt: skip

        shown = result.stdout.replace(registry.address, "localhost:5000")
        assert without_what_varies(shown) == without_what_varies(step.shown), command


def test_the_session_has_commands() -> None:
    assert len(steps()) > 10


@pytest.mark.parametrize("snippet", _SNIPPET.findall(README.read_text()))
def test_the_python_of_the_page_compiles_and_imports(snippet: str) -> None:
    imports = "\n".join(line for line in snippet.splitlines() if line.startswith(("import", "from")))

    compile(snippet, "README.md", "exec")
    subprocess.run([sys.executable, "-c", imports], check=True)
