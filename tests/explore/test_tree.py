"""The interactive tree without a terminal: keys, what they do, and what is drawn."""

import io

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from fixtures.images.entries import file, whiteout
from lstore.cli.explore_screen import frame
from lstore.cli.explore_tree import ExploreTree
from lstore.cli.keys import decode_keys, is_incomplete
from lstore.engine.engine import Engine
from lstore.engine.explore import Survey, explore
from tests.explore.conftest import HOSTILE, Keep, Stack

KEYS = ["up", "down", "left", "right", "enter", "tab", "backtab", "home", "end", "page-up", "page-down", " "]
KEYS += ["/", "escape", "backspace", "d", "a", "j", "k", "h", "l", "g", "G"]


@pytest.fixture
def survey(engine: Engine, keep: Keep, layered: Stack) -> Survey:
    return explore(engine, keep(layered))


def drawn(state: ExploreTree, width: int = 110, height: int = 30) -> str:
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None)
    with console.capture() as captured:
        console.print(frame(state, width, height), height=height)
    return captured.get()


def press(state: ExploreTree, *keys: str) -> None:
    for key in keys:
        assert state.press(key)


def paths(state: ExploreTree) -> list[bytes]:
    return [row.path for row in state.rows]


@pytest.mark.parametrize(
    ("data", "keys"),
    [
        (b"\x1b[A\x1b[B\x1bOC\x1b[D", ["up", "down", "right", "left"]),
        (b"\r\n\t\x7f\x08\x03", ["enter", "enter", "tab", "backspace", "backspace", "ctrl-c"]),
        (b"aZ/ \xc3\xa9", ["a", "Z", "/", " ", "é"]),
        (b"\x1b", ["escape"]),
        (b"\x1bx", ["escape", "x"]),
        (b"\x1b[5~\x1b[6~\x1b[H\x1b[4~\x1b[Z", ["page-up", "page-down", "home", "end", "backtab"]),
        (b"\x1b[1;5Cq", ["q"]),
        (b"\x00\x1f\xff", []),
    ],
)
def test_what_terminals_send_becomes_keys(data: bytes, keys: list[str]) -> None:
    assert list(decode_keys(data)) == keys


def test_a_sequence_is_waited_for_until_it_is_whole() -> None:
    assert [is_incomplete(each) for each in (b"\x1b", b"\x1b[", b"\x1b[5")] == [True, True, True]
    assert [is_incomplete(each) for each in (b"\x1b[A", b"q", b"", b"\x1bx")] == [False] * 4


@given(st.binary(max_size=40))
def test_any_bytes_are_some_keys(data: bytes) -> None:
    assert all(len(key) == 1 or key.isascii() for key in decode_keys(data))


def test_directories_open_and_close(survey: Survey) -> None:
    state = ExploreTree(survey)
    assert paths(state) == [b"", b"etc", b"usr", b"data", b"lib"]

    press(state, "down", "down", "right", "down", "enter")
    assert paths(state)[2:6] == [b"usr", b"usr/lib", b"usr/lib/code", b"usr/lib/code.link"]

    press(state, "down", "left", "left", "left")
    assert (paths(state)[2:4], state.cursor) == ([b"usr", b"usr/lib"], 2)

    press(state, "enter")
    assert paths(state) == [b"", b"etc", b"usr", b"data", b"lib"]


def test_a_layer_shows_what_it_changes(survey: Survey) -> None:
    state = ExploreTree(survey)

    press(state, "tab", "end", "tab", "down", "right")

    assert state.view == 3
    assert paths(state) == [b"", b"data", b"data/new", b"data/again", b"data/big"]
    assert "-      1kB" in drawn(state)
    assert "+      10B" in drawn(state)


def test_a_search_finds_paths_and_enter_shows_where_they_are(survey: Survey) -> None:
    state = ExploreTree(survey)

    press(state, "/", *"CODE.")
    assert paths(state) == [b"usr/lib/code.link"]

    press(state, "enter", "enter")
    assert state.query == ""
    assert state.rows[state.cursor].path == b"usr/lib/code.link"


def test_a_search_for_nothing_there_says_so_and_escape_ends_it(survey: Survey) -> None:
    state = ExploreTree(survey)

    press(state, "/", "q", "z", "enter", "right", "enter", "down")
    assert "nothing has 'qz' in its path" in drawn(state)

    press(state, "escape")
    assert len(state.rows) == 5


@pytest.mark.parametrize("key", ["q", "ctrl-c", "ctrl-d"])
def test_some_keys_leave(survey: Survey, key: str) -> None:
    assert not ExploreTree(survey).press(key)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.sampled_from(KEYS), max_size=40))
def test_no_keys_leave_the_cursor_outside_of_the_rows(survey: Survey, keys: list[str]) -> None:
    state = ExploreTree(survey)

    press(state, *keys)

    assert 0 <= state.cursor < max(len(state.rows), 1)
    assert 0 <= state.view <= len(survey.layers)


@pytest.mark.parametrize(("width", "height"), [(110, 30), (40, 10), (20, 5), (8, 3), (200, 60)])
def test_any_size_of_terminal_is_filled_and_not_overrun(survey: Survey, width: int, height: int) -> None:
    lines = drawn(ExploreTree(survey), width, height).splitlines()

    assert len(lines) <= height
    assert all(len(line) <= width for line in lines)


def test_hostile_names_are_drawn_as_what_they_are(engine: Engine, keep: Keep) -> None:
    survey = explore(engine, keep([[file(name, b"x") for name in HOSTILE], [whiteout(HOSTILE[0])]]))
    state = ExploreTree(survey)

    text = drawn(state)

    assert all(character.isprintable() or character == "\n" for character in text)
    assert r"\xff\xfe latin \xe9" in text
    assert "{{7*7}} [bold red]rich[blink]" in text
    assert r"new\nline\ttab" in text
