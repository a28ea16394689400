"""The monitor's ends of a container's input and output: pipes, or the master of its terminal."""

from __future__ import annotations

import os

from runner import window, wire
from runner.loop import READABLE, WRITABLE
from runner.stdio import Stdio

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runner.loop import Loop

_MOST_HELD = 64 << 10  # as a pipe holds


class Streams:
    """One run's streams. `on_output` gets (`wire.OUTPUT` or `wire.ERRORS`, data); `on_full` whether to send no more."""

    def __init__(
        self, loop: Loop, on_output: Callable[[bytes, bytes], None], on_full: Callable[[bool], None]
    ) -> None:
        self._loop = loop
        self._on_output = on_output
        self._on_full = on_full
        self._outputs: dict[int, bytes] = {}
        self._input = -1
        self._held = bytearray()
        self._ends_input = False
        self._is_paused = False
        self._is_terminal = False
        self._theirs: list[int] = []

    def open_pipes(self, *, has_input: bool) -> Stdio:
        """Pipes; the process's ends come back, and are closed by `begin`."""
        reader, self._input = os.pipe() if has_input else (os.open(os.devnull, os.O_RDONLY), -1)
        ours, output = os.pipe()
        our_errors, errors = os.pipe()
        self._outputs = {ours: wire.OUTPUT, our_errors: wire.ERRORS}
        self._theirs = [reader, output, errors]
        return Stdio(reader, output, errors)

    def open_terminal(self, rows: int, columns: int) -> Stdio:
        """Ask for a terminal of the container's own, of that size where it is not 0; `begin` takes its master."""
        self._console, theirs = wire.pair()
        self._is_terminal = True
        self._theirs = [theirs.detach()]
        return Stdio(console=self._theirs[0], size=(rows, columns))

    def begin(self) -> None:
        """The process has its ends: close them here, and listen. Raises `LaunchError`."""
        self._close_theirs()
        if self._is_terminal:
            from runner import console

            master = console.receive(self._console)
            self._console.close()
            # With a slave of our own the master reports no end whenever nobody has the terminal open.
            self._theirs = [console.open_slave(master)]
            self._outputs = {master: wire.OUTPUT}
            self._input = master
        for fd in {*self._outputs, self._input} - {-1}:
            os.set_blocking(fd, False)
        self._watch()

    def put(self, data: bytes) -> None:
        """Write `data` to the input, now or when there is room."""
        if self._input >= 0 and not self._ends_input:
            self._held += data
            self._write()

    def end_input(self) -> None:
        """Close the input once all is written. A terminal has none to close."""
        if not self._is_terminal:
            self._ends_input = True
            self._write()

    def resize(self, rows: int, columns: int) -> None:
        """Give the terminal, if there is one, its size."""
        if self._is_terminal and self._outputs:
            window.resize(self._input, rows, columns)

    def pause(self, *, is_paused: bool) -> None:
        """Read no output, or go on reading it."""
        if is_paused != self._is_paused:
            self._is_paused = is_paused
            self._watch()

    def finish(self) -> None:
        """The process has ended, or was never started: take what it left, and close everything."""
        self._close_theirs()
        for fd in tuple(self._outputs):
            while self._read(fd):
                pass
        for fd in {*self._outputs, self._input} - {-1}:
            self._loop.forget(fd)
            os.close(fd)
        self._outputs.clear()
        self._input = -1
        self._held.clear()
        self._ends_input = False
        self._on_full(False)

    def _close_theirs(self) -> None:
        while self._theirs:
            os.close(self._theirs.pop())

    def _watch(self) -> None:
        for fd in {*self._outputs, self._input} - {-1}:
            reads = fd in self._outputs and not self._is_paused
            writes = fd == self._input and bool(self._held)
            if reads or writes:
                events = (READABLE if reads else 0) | (WRITABLE if writes else 0)
                self._loop.watch(fd, events, lambda fd=fd: self._serve(fd))  # type: ignore[misc]  # mypy#12557
            else:
                self._loop.forget(fd)

    def _serve(self, fd: int) -> None:
        if fd in self._outputs and not self._is_paused:
            self._read(fd)
        if fd == self._input and self._held:
            self._write()

    def _read(self, fd: int) -> bool:
        """Read once; whether there may be more."""
        try:
            data = os.read(fd, wire.MAX_DATA)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if data:
            self._on_output(self._outputs[fd], data)
            return True
        if not self._is_terminal:
            self._loop.forget(fd)
            os.close(fd)
            del self._outputs[fd]
        return False

    def _write(self) -> None:
        try:
            while self._held and self._input >= 0:
                del self._held[: os.write(self._input, self._held)]
        except BlockingIOError:
            pass
        except OSError:  # nobody reads
            self._held.clear()
            self._ends_input = True
        if self._ends_input and not self._held and self._input >= 0:
            self._loop.forget(self._input)
            os.close(self._input)
            self._input = -1
        self._on_full(len(self._held) >= _MOST_HELD)
        self._watch()
