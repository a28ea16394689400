"""What a launcher tells the monitor that it starts: the container, and what its root filesystem is made of."""

from __future__ import annotations

import _socket  # socket's own module costs 6 ms and half a megabyte in each monitor
import sys

from layerstore.mount import Directory, ErofsImage, MountStack
from layerstore.value import Value
from runner import record
from runner.container import ContainerConfig, ContainerState, Probe
from runner.home import INNER

_INT = 4
_MOST_RIGHTS = 2
_CHUNK = 64 << 10

STARTED = b"\0"
"""What a monitor reports once the container runs; else a report of `runner.failure`."""


class Order(Value):
    """`state` is how the container was before, `containers` the directory of all, `snapshot` what goes with this one.

    The lock of the container comes with it, and perhaps the first client's connection, which sees all output from
    the start on. `rows` and `columns` are the first size of its terminal.
    """

    config: ContainerConfig
    state: ContainerState
    stack: MountStack
    containers: str
    snapshot: str
    rows: int = 0
    columns: int = 0

    def to_bytes(self) -> bytes:
        """For a pipe."""
        return record.pack(self)


class Launcher:
    """A monitor's connection to whoever starts it."""

    def __init__(self, fd: int) -> None:
        self._connection = _socket.socket(fileno=fd)

    def receive(self) -> tuple[Order, tuple[int, ...]] | None:
        """Wait for the order, and what came with it: the lock, and the first client. None where nobody has any."""
        room = _socket.CMSG_SPACE(_MOST_RIGHTS * _INT)
        first, ancillary, _, _ = self._connection.recvmsg(1, room, _socket.MSG_CMSG_CLOEXEC)
        if not first:
            return None
        chunks = []
        while chunk := self._connection.recv(_CHUNK):
            chunks.append(chunk)
        rights = b"".join(data for _, _, data in ancillary)
        fds = (rights[start : start + _INT] for start in range(0, len(rights), _INT))
        return parse(b"".join(chunks)), tuple(int.from_bytes(fd, sys.byteorder) for fd in fds)

    def fileno(self) -> int:
        """Its descriptor."""
        return self._connection.fileno()

    def report(self, report: bytes) -> None:
        """Tell how it went, and hang up. A launcher that was killed hears nothing."""
        try:
            self._connection.send(report)
        except OSError:
            return
        finally:
            self._connection.close()


def parse(raw: bytes) -> Order:
    """What `Order.to_bytes` wrote."""
    kinds = (*INNER, ContainerConfig, ContainerState, Probe, MountStack, ErofsImage, Directory)
    return record.unpack(raw, Order, kinds)
