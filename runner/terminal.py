"""Our own terminal: raw while it is joined with a container's, and joined directly with one that we hold."""

from __future__ import annotations

import errno
import os
import select

from layerstore.linux import signals
from runner import window
from runner.keys import Detacher
from runner.loop import READABLE, Loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import FrameType, TracebackType

_CHUNK = 32 << 10


def write_all(fd: int, data: bytes) -> None:
    """All of `data`, waiting also where somebody made the descriptor not wait."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            select.select((), (fd,), ())


def read_input() -> bytes:
    """What there is on standard input; b"" at its end, also that of a terminal that was hung up."""
    try:
        return os.read(0, _CHUNK)
    except OSError as error:
        if error.errno not in (errno.EIO, errno.EAGAIN):
            raise
        return b""


def relay(master: int, pidfd: int, *, reads_input: bool, detach_keys: bytes) -> bool:
    """Join our standard streams with the terminal `master` until the process of `pidfd` ends.

    Whether the user detached before that.
    """
    is_terminal = os.isatty(0)
    detacher = Detacher(detach_keys if is_terminal else b"")
    loop = Loop()

    def take_output() -> None:
        try:
            data = os.read(master, _CHUNK)
        except OSError:  # nobody has the terminal open
            loop.forget(master)
            return
        write_all(1, data)

    def take_input() -> None:
        data = read_input()
        if not data:
            loop.forget(0)
            os.write(master, b"\x04")  # what a user types to end the input
            return
        write_all(master, detacher.feed(data))
        if detacher.is_detached:
            loop.stop()

    def resize(_number: int, _frame: FrameType | None) -> None:
        window.resize(master, *window.size(0))

    loop.watch(master, READABLE, take_output)
    loop.watch(pidfd, READABLE, loop.stop)
    if reads_input:
        loop.watch(0, READABLE, take_input)
    with Raw(is_raw=is_terminal and reads_input), Handlers({signals.SIGWINCH: resize} if is_terminal else {}):
        if is_terminal:
            window.resize(master, *window.size(0))
        loop.run()
    if not detacher.is_detached:
        _drain(master)
    return detacher.is_detached


def hold(master: int, pidfd: int) -> None:
    """Keep the terminal `master` open, and what is written to it from filling up, until the process of `pidfd` ends."""
    poll = select.poll()
    for fd in (master, pidfd):
        poll.register(fd, select.POLLIN)
    while pidfd not in (ready := [fd for fd, _ in poll.poll()]):
        try:
            os.read(master, _CHUNK)
        except OSError:  # nobody has the terminal open
            poll.unregister(ready[0])


def _drain(master: int) -> None:
    """What was written before the end."""
    os.set_blocking(master, False)
    try:
        while data := os.read(master, _CHUNK):
            write_all(1, data)
    except OSError:
        return


class Raw:
    """Our terminal passes every key on while this is entered."""

    def __init__(self, *, is_raw: bool) -> None:
        self._is_raw = is_raw

    def __enter__(self) -> None:
        if self._is_raw:
            import termios
            import tty

            self._before = termios.tcgetattr(0)
            tty.setraw(0, termios.TCSANOW)  # what was typed already counts, too

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._is_raw:
            import termios

            termios.tcsetattr(0, termios.TCSADRAIN, self._before)


class Handlers:
    """Signal handlers for as long as this is entered; what is ignored stays so."""

    def __init__(self, handlers: Mapping[int, object]) -> None:
        self._handlers = handlers
        self._before: dict[int, object] = {}

    def __enter__(self) -> None:
        for number, handler in self._handlers.items():
            before = signals.getsignal(number)
            if before is not signals.SIG_IGN and before is not None:
                self._before[number] = before
                signals.signal(number, handler)  # type: ignore[arg-type]  # a handler, says the caller

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        for number, before in self._before.items():
            signals.signal(number, before)  # type: ignore[arg-type]  # it came from getsignal
