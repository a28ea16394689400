"""The parser that does without click: the same values, or none at all."""

import subprocess
import sys
from collections.abc import Sequence

import click
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lstore.cli import light
from lstore.cli.command_line import command_line
from lstore.cli.flags import GLOBAL_FLAGS, Flag
from lstore.cli.light import VERBS

ENVIRONMENT = {"LSTORE_ROOT": "/from/environment"}
FLAGS = {verb: __import__(f"lstore.cli.actions.{verb}", fromlist=["FLAGS"]).FLAGS for verb in VERBS}
WORDS = {"build": "a", "exec": "ab", "images": "a", "ps": "", "pull": "a", "rmi": "ab", "run": "ab"}
VALUES = (
    "x",
    "a=b",
    "",
    "-",
    "--",
    "-1",
    "7",
    " 7",
    "warning",
    "--rm",
    "-it",
    "missing",
    "é",
    "1_0",
    "true",
    "F",
)


def spelled(flags: Sequence[Flag]) -> st.SearchStrategy[list[str]]:
    """Options as people spell them, some wrongly."""
    names = [name for flag in flags for spelling in flag.spellings for name in spelling.split("/")]
    letters = [name[1] for name in names if not name.startswith("--")]
    name, value = st.sampled_from([*names, "--unknown", "--help", "-Z"]), st.sampled_from(VALUES)
    cluster = st.lists(st.sampled_from(letters), min_size=2, max_size=4).map(
        lambda chosen: "-" + "".join(chosen)
    )
    one = st.one_of(
        name.map(lambda text: [text]),
        st.tuples(name, value).map(list),
        st.tuples(name, value).map(lambda pair: ["=".join(pair)]),
        st.tuples(name, value).map(lambda pair: ["".join(pair)]),
        st.tuples(cluster, value).map(list),
    )
    return st.lists(one, max_size=4).map(lambda parts: [word for part in parts for word in part])


@st.composite
def command_lines(draw: st.DrawFn) -> list[str]:
    verb = draw(st.sampled_from(VERBS))
    words = draw(st.lists(st.sampled_from((*VALUES, "busybox", "true")), max_size=3))
    return [*draw(spelled(GLOBAL_FLAGS)), verb, *draw(spelled(FLAGS[verb])), *words]


def by_click(arguments: list[str]) -> tuple[dict[str, object], dict[str, object], tuple[str, ...]]:
    """What click makes of it: values of global options, of the command's, and its words."""
    group = command_line(ENVIRONMENT)
    outer = group.make_context("lstore", list(arguments))
    name, command, rest = group.resolve_command(outer, [*outer._protected_args, *outer.args])
    assert command is not None
    inner = command.make_context(name, rest, parent=outer)
    options = {each.name for each in command.params if isinstance(each, click.Option)}
    words: list[str] = []
    for each in command.params:
        if isinstance(each, click.Argument):
            value = inner.params[each.name or ""]
            words.extend(value if isinstance(value, tuple) else [value] if value is not None else [])
    return outer.params, {key: inner.params[key] for key in options}, tuple(words)


@settings(max_examples=400, deadline=None)
@given(command_lines())
@example(["--debug=true", "images"])
@example(["--debug", "--debug=false", "ps"])
def test_what_it_understands_click_understands_the_same_way(arguments: list[str]) -> None:
    plain = light.parse(arguments, ENVIRONMENT)

    if plain is not None:
        made = (plain.globals._values, plain.given._values, plain.words)
        assert made == by_click(arguments)


@pytest.mark.parametrize(
    ("arguments", "name", "value"),
    [
        (["run", "--rm", "--network", "none", "busybox", "true"], "network", "none"),
        (["run", "-it", "-e", "A=1", "--env", "B", "busybox"], "env", ("A=1", "B")),
        (["run", "--no-sig-proxy", "--memory=64m", "busybox", "sh", "-c", "exit"], "memory", "64m"),
        (["run", "--pids-limit", "5", "busybox"], "pids_limit", 5),
        (["run", "--sig-proxy=false", "busybox"], "sig_proxy", False),
        (["run", "--no-sig-proxy=false", "busybox"], "sig_proxy", True),
        (["run", "--rm", "--rm=0", "busybox"], "rm", False),
        (["run", "--init=True", "busybox"], "init", True),
        (["exec", "-itw", "/tmp", "box", "sh", "--login"], "workdir", "/tmp"),
        (["ps", "-aq", "--filter", "name=x"], "filters", ("name=x",)),
        (["images", "--no-trunc", "busybox"], "no_trunc", True),
        (["pull", "--platform", "linux/arm64", "busybox"], "platform", "linux/arm64"),
        (["rmi", "-f", "busybox", "debian"], "force", True),
    ],
)
def test_plain_commands_need_no_click(arguments: list[str], name: str, value: object) -> None:
    plain = light.parse(["--root", "/s", *arguments], ENVIRONMENT)

    assert plain is not None
    assert plain.globals.text("root") == "/s"
    assert plain.given._values[name] == value


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--help"],
        ["-v"],
        ["image", "ls"],
        ["images", "busybox", "--tree"],
        ["rmi", "busybox", "-f"],
        ["rmi", "busybox", "--", "-f"],
        ["rmi"],
        ["pull", "busybox", "debian"],
        ["container", "run", "busybox"],
        ["run"],
        ["run", "--help"],
        ["run", "--rm=maybe", "busybox"],
        ["run", "--memry", "1m", "busybox"],
        ["run", "--", "busybox"],
        ["run", "-eA=1", "busybox"],
        ["run", "--pids-limit", "five", "busybox"],
        ["run", "--pull", "sometimes", "busybox"],
        ["run", "--name"],
        ["exec", "box"],
        ["ps", "surplus"],
    ],
)
def test_everything_else_is_left_to_click(arguments: list[str]) -> None:
    assert light.parse(arguments, ENVIRONMENT) is None


def test_completion_is_left_to_click() -> None:
    assert light.parse(["ps"], {"_LSTORE_COMPLETE": "bash_complete"}) is None


@pytest.mark.parametrize("verb", VERBS)
def test_the_way_to_a_command_imports_nothing_heavy(verb: str) -> None:
    code = (
        "import sys; known = set(sys.modules)\n"
        "from lstore.cli import light, main\n"
        f"assert light.parse({[verb, *WORDS[verb]]}, {{}})\n"
        "print(*set(sys.modules) - known)"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    heavy = {"click", "rich", "difflib", "subprocess", "requests", "socket", "layerstore.store.store"}
    if verb not in ("ps", "images"):  # which need re and datetime
        heavy |= {"dataclasses", "inspect", "typing", "hashlib", "concurrent.futures", "json"}
    assert heavy.isdisjoint(loaded.split())
