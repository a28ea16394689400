"""Talking to a container's monitor: orders, and waiting for the container's end."""

from __future__ import annotations

import select
import time
from contextlib import contextmanager

from layerstore.errors import Conflict, LstoreError
from runner import wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lstore.engine.containers.look import Container
    from runner.home import Home


class Talk:
    """One connection to a monitor. Every method raises `Conflict` where the monitor has ended."""

    def __init__(self, home: Home) -> None:
        self._home = home
        try:
            self._connection = wire.connect(home.path)
        except OSError as error:
            raise self._ended() from error
        self._status: int | None = None

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def ask(self, kind: bytes, data: bytes = b"") -> None:
        """Have the monitor do something; returns when it has. Raises `LstoreError` where it could not."""
        try:
            self._connection.send(kind + data)
        except OSError as error:
            raise self._ended() from error
        while True:
            answer = self._receive()
            if answer[:1] == wire.DONE:
                return
            if answer[:1] == wire.FAILED:
                raise LstoreError(answer[1:].decode(errors="replace"))
            self._note(answer)

    def wait(self, seconds: float | None = None) -> int | None:
        """The exit status of the run under way, None if it goes on after `seconds`. After `ask(wire.WATCH)`."""
        deadline = None if seconds is None else time.monotonic() + seconds
        poll = select.poll()
        poll.register(self._connection.fileno(), select.POLLIN)
        while self._status is None:
            patience = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
            if not poll.poll(patience):
                return None
            self._note(self._receive())
        return self._status

    def wait_until_closed(self) -> None:
        """Wait for the end of the monitor, and so for all that it clears away."""
        try:
            while wire.receive(self._connection):
                pass
        except OSError:
            pass
        self._home.await_end_of_monitor()

    def _note(self, message: bytes) -> None:
        if message[:1] == wire.EXITED:
            self._status = message[1]

    def _receive(self) -> bytes:
        try:
            message = wire.receive(self._connection)
        except OSError as error:
            raise self._ended() from error
        if not message:
            raise self._ended()
        return message

    def _ended(self) -> Conflict:
        self._home.await_end_of_monitor()
        return Conflict(f"container {self._home.id[:12]} is not running", hint="lstore ps --all")


@contextmanager
def talking(container: Container) -> Iterator[Talk]:
    """A connection to the monitor of `container`. Raises `Conflict` where it does not run."""
    if not container.state.is_alive:
        raise Conflict(
            f"container {container.config.name} is not running", hint=f"lstore start {container.config.name}"
        )
    talk = Talk(container.home)
    try:
        yield talk
    finally:
        talk.close()
