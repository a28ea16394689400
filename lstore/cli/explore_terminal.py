"""The terminal side of ``lstore explore``: raw keys, the alternate screen, and everything put back at the end."""

import os
import select
import signal
import termios
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live

from layerstore.errors import UsageError
from lstore.cli.explore_screen import frame
from lstore.cli.explore_tree import ExploreTree
from lstore.cli.keys import decode_keys, is_incomplete
from lstore.cli.settings import Streams
from lstore.engine.explore import Survey

_LOCAL_FLAGS = 3
"""Where tcgetattr(3) has ``c_lflag`` in Python's list."""
_READ = 256
_REST_OF_SEQUENCE = 0.05
"""Seconds within which a terminal sends the whole of what one key stands for."""


def show_tree(streams: Streams, survey: Survey) -> None:
    """Let the user walk through the image until they leave. Raises `UsageError` where there is no terminal."""
    if not (streams.out.is_terminal and streams.stdin.isatty()):
        raise UsageError("cannot show a tree: no terminal here", hint="lstore explore --format text IMAGE")
    keyboard = streams.stdin.fileno()
    state = ExploreTree(survey)
    console = Console(file=streams.out.text, highlight=False)
    with (
        _resizes() as resized,
        _unbuffered(keyboard),
        Live(console=console, screen=True, auto_refresh=False) as live,
    ):
        live.update(frame(state, *console.size), refresh=True)
        for data in _presses(keyboard, resized):
            if not all(state.press(key) for key in decode_keys(data)):
                return
            live.update(frame(state, *console.size), refresh=True)


def _presses(keyboard: int, resized: int) -> Iterator[bytes]:
    """What the keyboard sends, at least one key at a time; nothing for a change of the window's size."""
    while True:
        ready, _, _ = select.select([keyboard, resized], [], [])
        if resized in ready:
            os.read(resized, _READ)
            yield b""
        if keyboard in ready:
            data = os.read(keyboard, _READ)
            while is_incomplete(data) and select.select([keyboard], [], [], _REST_OF_SEQUENCE)[0]:
                data += os.read(keyboard, _READ)
            if not data:
                return  # the terminal is gone
            yield data


@contextmanager
def _unbuffered(keyboard: int) -> Iterator[None]:
    """Keys one by one, unechoed and without signals, for the block. termios(3)."""
    before = termios.tcgetattr(keyboard)
    changed = termios.tcgetattr(keyboard)
    changed[_LOCAL_FLAGS] &= ~(termios.ICANON | termios.ECHO | termios.ISIG | termios.IEXTEN)
    termios.tcsetattr(keyboard, termios.TCSAFLUSH, changed)
    try:
        yield
    finally:
        termios.tcsetattr(keyboard, termios.TCSAFLUSH, before)


@contextmanager
def _resizes() -> Iterator[int]:
    """A descriptor that is readable once the window has another size."""
    receiver, sender = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    handler = signal.signal(signal.SIGWINCH, lambda number, stack: None)
    known = signal.set_wakeup_fd(sender)
    try:
        yield receiver
    finally:
        signal.set_wakeup_fd(known)
        signal.signal(signal.SIGWINCH, handler)
        os.close(receiver)
        os.close(sender)
