"""A monitor's process on standby: started before anybody knows what it is to do.

A fresh interpreter needs as long to start as finding out what to run takes. Called up first, the two go on side
by side. What nobody takes ends with the process that called it up.
"""

from __future__ import annotations

import _socket  # socket's own module costs 6 ms
import gc
import os
import sys

import layerstore
from layerstore.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

LAUNCHER_FD = 3
"""Where a monitor is born with the connection to its launcher, standard streams aside."""

_START = (
    "import os, sys; os.fork() and os._exit(0); sys.path.insert(0, sys.argv[1]); "
    "from lstore.engine.containers.monitor_main import main; main()"
)
_CODE = os.path.dirname(os.path.dirname(os.path.abspath(layerstore.__file__)))
_CHUNK = 64 << 10


class Standby:
    """One process that waits for its order, in a session of its own, with nothing of ours but this connection.

    `starter` is the process to be waited for that started it, where that is not this one.
    """

    def __init__(self, connection: _socket.socket, starter: int | None = None) -> None:
        self._connection = connection
        self._starter = starter

    def carry_out(self, order: bytes, descriptors: Sequence[int]) -> bytes:
        """Give it `order` with copies of `descriptors`; what it reports, b"" where it died."""
        try:
            rights = b"".join(fd.to_bytes(4, sys.byteorder) for fd in descriptors)
            self._connection.sendmsg([b"\0"], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)])
            self._connection.sendall(order)
            self._connection.shutdown(_socket.SHUT_WR)
            report = self._receive()
        except (BrokenPipeError, ConnectionResetError):
            report = b""
        finally:
            self._connection.close()
            if self._starter is not None:
                os.waitpid(self._starter, 0)
        return report

    def _receive(self) -> bytes:
        report = b""
        while data := self._connection.recv(_CHUNK):
            report += data
        return report


_called_up: list[Standby] = []


def call_up() -> None:
    """Start one that `take` will give: a copy of this process, which has no threads, and imported nothing heavy yet.

    A copy is there at once; but it keeps the memory that this process has by now. It is our child, which nobody waits
    for: a command ends soon. Were it a child's child, the scheduler would at times have it wait for 4 ms behind us.
    """
    _import_common()
    ours, theirs = _pair()
    if os.fork() == 0:
        _stand_by(theirs)
    theirs.close()
    _called_up.append(Standby(ours))


def _import_common() -> None:
    """Import what the launcher of a container and its monitor both need, once for both."""
    from runner import events, home, loop, order, signals, window, wire  # noqa: F401


def take() -> Standby:
    """The one that was called up, or another. Raises as `spawn` does."""
    return _called_up.pop() if _called_up else spawn()


def spawn() -> Standby:
    """One in a fresh interpreter, whatever this process is. Raises `UsageError`."""
    ours, theirs = _pair()
    try:
        return Standby(ours, _spawn(theirs.fileno()))
    finally:
        theirs.close()


def _pair() -> tuple[_socket.socket, _socket.socket]:
    return _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)


def _stand_by(connection: _socket.socket) -> NoReturn:
    """Be a monitor, and have nothing of the process that this one is a copy of."""
    try:
        os.setsid()
        if connection.fileno() != LAUNCHER_FD:
            os.dup2(connection.detach(), LAUNCHER_FD, inheritable=False)
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        for standard in range(LAUNCHER_FD):
            os.dup2(null, standard)
        os.environ.clear()
        gc.disable()  # what is imported makes no garbage, but would be walked again and again
        from layerstore import linux

        linux.close_range(LAUNCHER_FD + 1)
        linux.set_title(b"lstore: monitor without an order")
        from lstore.engine.containers.monitor_main import main

        gc.freeze()  # nor is it to be walked whenever there is a little garbage
        gc.enable()
        main()
    finally:
        os._exit(1)


def _spawn(connection: int) -> int:
    """A fresh interpreter with nothing but what a monitor needs."""
    command = [sys.executable, "-I", "-S", "-c", _START, _CODE]
    opened = os.open(os.devnull, os.O_RDWR)
    try:
        # By way of numbers that nothing else has, as some of the targets may be sources.
        spare = max(connection, opened, LAUNCHER_FD) + 1
        moves = {opened: (0, 1, 2), connection: (LAUNCHER_FD,)}
        actions: list[tuple[int, ...]] = []
        for between, source in enumerate(moves, start=spare):
            actions.append((os.POSIX_SPAWN_DUP2, source, between))
        for between, targets in enumerate(moves.values(), start=spare):
            actions += [(os.POSIX_SPAWN_DUP2, between, target) for target in targets]
            actions.append((os.POSIX_SPAWN_CLOSE, between))
        return os.posix_spawn(sys.executable, command, {}, file_actions=actions, setsid=True)
    except OSError as error:
        raise UsageError(f"cannot start {sys.executable}: {(error.strerror or '').lower()}") from error
    finally:
        os.close(opened)
