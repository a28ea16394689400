"""Signals: those that ask something of the launcher go on to the container's first process."""

from __future__ import annotations

from layerstore import linux
from layerstore.errors import UsageError
from layerstore.linux import signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType, TracebackType

FORWARDED = (
    signals.SIGINT,
    signals.SIGTERM,
    signals.SIGHUP,
    signals.SIGQUIT,
    signals.SIGUSR1,
    signals.SIGUSR2,
    signals.SIGWINCH,
)
# The C library lets nobody touch these, and posix_spawn(3) leaves them ignored.
_OF_THE_C_LIBRARY = (32, 33)


class Forwarding:
    """While entered, `FORWARDED` signals are kept, and from `start` on sent to the process of a pidfd.

    What the caller ignores (nohup(1)) stays ignored. Python takes signals in the main thread only.
    """

    def __init__(self) -> None:
        self._pidfd: int | None = None
        self._kept: list[int] = []
        self._before: dict[int, object] = {}

    def start(self, pidfd: int) -> None:
        """Send what came so far, and from now on everything at once."""
        self._pidfd = pidfd
        while self._kept:
            self._send(self._kept.pop(0))

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self._pidfd is None:
            self._kept.append(number)
        else:
            self._send(number)

    def _send(self, number: int) -> None:
        try:
            linux.pidfd_send_signal(self._pidfd or 0, number)
        except ProcessLookupError:
            return  # it has ended: nobody is left to be told

    def __enter__(self) -> Forwarding:
        for number in FORWARDED:
            before = signals.getsignal(number)
            if before is not signals.SIG_IGN and before is not None:
                self._before[number] = before
                signals.signal(number, self._on_signal)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        for number, before in self._before.items():
            signals.signal(number, before)  # type: ignore[arg-type]  # it came from getsignal


def restore_defaults() -> None:
    """Every signal as a fresh process has it: exec keeps what is ignored, and Python ignores SIGPIPE."""
    for number in range(1, signals.NSIG):
        if number in (signals.SIGKILL, signals.SIGSTOP):
            continue
        if number in _OF_THE_C_LIBRARY:
            linux.set_default_action(number)
        elif signals.getsignal(number) != signals.SIG_DFL:
            signals.signal(number, signals.SIG_DFL)
    signals.pthread_sigmask(signals.SIG_SETMASK, ())


def parse_signal(text: str) -> int:
    """The number of ``SIGTERM``, ``TERM``, ``RTMIN+3`` or ``15``. Raises `UsageError`."""
    if text.isascii() and text.isdigit() and 0 < int(text) < signals.NSIG:
        return int(text)
    name, plus, offset = text.upper().partition("+")
    number = signals.number_of(name if name.startswith("SIG") else f"SIG{name}")
    if number is not None:
        found = number + (int(offset) if plus and offset.isdigit() else 0)
        if found < signals.NSIG:
            return found
    raise UsageError(f"invalid signal {text[:40]!r}", hint="kill -l")
