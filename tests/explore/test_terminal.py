"""The interactive tree on a real pseudo-terminal, in a process of its own."""

import os
import pty
import re
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator, Sequence
from pathlib import Path

import pexpect
import pytest
from pexpect import fdpexpect

from fixtures.images.entries import directory, file
from lstore.engine.engine import Engine
from tests.explore.conftest import HOSTILE, Keep, Stack

HOME = Path(__file__).parents[2]
COMMAND = (sys.executable, "-m", "lstore")
WIDTH, HEIGHT = 110, 30
ENTER_SCREEN, LEAVE_SCREEN = re.escape("\x1b[?1049h"), re.escape("\x1b[?1049l")
_COLOURS = r"(?:\x1b\[[0-9;]*m)*"
UP, DOWN, RIGHT = "\x1b[A", "\x1b[B", "\x1b[C"


@pytest.fixture
def terminal(engine: Engine, keep: Keep, layered: Stack) -> Iterator["pexpect.spawn[str]"]:
    """lstore explore over the layered image, its first frame drawn."""
    yield from opened(engine, keep(layered))


def opened(engine: Engine, image: str) -> Iterator["pexpect.spawn[str]"]:
    program, *arguments = [*COMMAND, "--root", engine.root, "--driver", "erofs", "explore", image]
    environment = {**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", "COLUMNS": "", "LINES": ""}
    child = pexpect.spawn(
        program,
        arguments,
        cwd=str(HOME),
        env=environment,
        dimensions=(HEIGHT, WIDTH),
        encoding="utf-8",
        timeout=60,
    )
    try:
        child.expect(ENTER_SCREEN)
        expect_words(child, "files of the image")
        expect_words(child, "q quit")
        yield child
    finally:
        child.close(force=True)


def expect_words(child: "pexpect.spawn[str]", words: str) -> None:
    """Wait for `words`, however they are coloured."""
    child.expect(_COLOURS.join(map(re.escape, words)))


def press(child: "pexpect.spawn[str]", keys: Sequence[str], words: str) -> None:
    """Send `keys`, and wait for a frame that has `words`."""
    child.send("".join(keys))
    expect_words(child, words)
    expect_words(child, "q quit")


def leave(child: "pexpect.spawn[str]", key: str) -> None:
    child.send(key)
    child.expect(LEAVE_SCREEN)
    child.expect(pexpect.EOF)
    child.wait()


@pytest.mark.parametrize("key", ["q", "\x03"])
def test_leaving_gives_the_terminal_back_and_ends_well(terminal: "pexpect.spawn[str]", key: str) -> None:
    leave(terminal, key)

    assert terminal.exitstatus == 0


def test_arrows_open_directories(terminal: "pexpect.spawn[str]") -> None:
    press(terminal, [DOWN, RIGHT], "hosts")

    leave(terminal, "q")


def test_tab_goes_from_the_files_to_the_layers(terminal: "pexpect.spawn[str]") -> None:
    press(terminal, ["\t", DOWN, DOWN], "what layer 1 changes")
    press(terminal, [DOWN, "\t"], "what layer 2 changes")

    leave(terminal, "q")


def test_a_search_shows_what_it_finds(terminal: "pexpect.spawn[str]") -> None:
    terminal.send("/code.l")
    expect_words(terminal, "/usr/lib/code.link")
    press(terminal, ["\r"], "1 found for 'code.l'")
    press(terminal, ["\r"], "code.link")

    leave(terminal, "q")


def test_another_size_of_the_window_is_another_frame(terminal: "pexpect.spawn[str]") -> None:
    terminal.setwinsize(20, 80)

    expect_words(terminal, "╮╭")
    expect_words(terminal, "q quit")
    leave(terminal, "q")


def test_a_signal_ends_it_as_cleanly_as_a_key(terminal: "pexpect.spawn[str]") -> None:
    assert not terminal.getecho()

    terminal.kill(signal.SIGTERM)

    terminal.expect(LEAVE_SCREEN)
    terminal.expect(pexpect.EOF)
    assert terminal.wait() == 128 + signal.SIGTERM


def test_the_terminal_has_its_modes_back_afterwards(engine: Engine, keep: Keep, layered: Stack) -> None:
    arguments = [*COMMAND, "--root", engine.root, "--driver", "erofs", "explore", keep(layered)]
    keyboard, screen = pty.openpty()
    before = termios.tcgetattr(screen)
    with subprocess.Popen(
        arguments, cwd=HOME, env={**os.environ, "TERM": "xterm"}, stdin=screen, stdout=screen, stderr=screen
    ) as process:
        try:
            child = fdpexpect.fdspawn(keyboard, timeout=60)
            child.expect_exact(b"q quit")
            assert termios.tcgetattr(screen) != before

            child.send(b"q")

            child.expect_exact(b"\x1b[?1049l")
            assert process.wait(timeout=60) == 0
            assert termios.tcgetattr(screen) == before
        finally:
            process.kill()
            os.close(keyboard)
            os.close(screen)


def test_a_dumb_terminal_gets_the_report(engine: Engine, keep: Keep, layered: Stack) -> None:
    program, *arguments = [*COMMAND, "--root", engine.root, "--driver", "erofs", "explore", keep(layered)]

    shown, status = pexpect.run(
        " ".join([program, *arguments]),
        withexitstatus=True,
        cwd=str(HOME),
        env={**os.environ, "TERM": "dumb"},
        encoding="utf-8",
        timeout=60,
    )

    assert status == 0
    assert "Efficiency:" in shown
    assert "\x1b" not in shown


def test_hostile_names_send_nothing_to_the_terminal(engine: Engine, keep: Keep) -> None:
    image = keep([[directory("d"), *(file(f"d/{name}", b"x") for name in HOSTILE)]])
    opener = opened(engine, image)
    child = next(opener)
    try:
        press(child, [DOWN, RIGHT], r"\x1b[2J\x1b]0;owned\x07")
        shown = child.before + child.after
        leave(child, "q")
    finally:
        opener.close()

    assert "\x1b]0;" not in shown + child.before
    assert "\x07" not in shown
