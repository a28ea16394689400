"""Waiting for descriptors and moments, and calling back: all that keeps a monitor awake. poll(2)."""

from __future__ import annotations

import select
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

READABLE = select.POLLIN
WRITABLE = select.POLLOUT


class Loop:
    """Descriptors with what to call when one of them can be read or written, and alarms."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._calls: dict[int, Callable[[], None]] = {}
        self._alarms: dict[str, tuple[float, Callable[[], None]]] = {}
        self._is_running = False

    def watch(self, fd: int, events: int, call: Callable[[], None]) -> None:
        """Call whenever `fd` is ready for one of `events`, or has no other end any more. Replaces a former watch."""
        self._poll.register(fd, events)
        self._calls[fd] = call

    def forget(self, fd: int) -> None:
        """Watch `fd` no more. Idempotent. To be called before it is closed."""
        if self._calls.pop(fd, None) is not None:
            self._poll.unregister(fd)

    def alarm(self, name: str, seconds: float, call: Callable[[], None]) -> None:
        """Call once, so many seconds from now; it replaces the alarm of that name."""
        self._alarms[name] = (time.monotonic() + seconds, call)

    def disarm(self, name: str) -> None:
        """Forget an alarm. Idempotent."""
        self._alarms.pop(name, None)

    def stop(self) -> None:
        """Let `run` return once the present call is done."""
        self._is_running = False

    def run(self) -> None:
        """Wait and call, until `stop`."""
        self._is_running = True
        while self._is_running:
            for fd, _ in self._poll.poll(self._patience()):
                call = self._calls.get(fd)  # an earlier call may have taken it away
                if call is not None:
                    call()
            self._ring()

    def _patience(self) -> float | None:
        """Milliseconds until the next alarm."""
        if not self._alarms:
            return None
        nearest = min(moment for moment, _ in self._alarms.values())
        return max(0.0, (nearest - time.monotonic()) * 1000 + 1)

    def _ring(self) -> None:
        present = time.monotonic()
        for name, (moment, call) in tuple(self._alarms.items()):
            if moment <= present and self._alarms.get(name) == (moment, call):
                del self._alarms[name]
                call()
