"""The connections that are open, so that a cancellation reaches those who wait for bytes that may never come.

A thread in recv(2) looks at no flag; shutdown(2) of its socket ends the call at once, with an end of file.
What it cannot reach is a connection that does not stand yet: that wait ends with its own timeout.
"""

import socket
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from layerstore.tasks import Cancellation


class Connections:
    """Those of one transport. Any thread may use it."""

    def __init__(self, cancellation: Cancellation) -> None:
        self.cancellation = cancellation
        self._lock = threading.Lock()
        self._open: weakref.WeakSet[HTTPConnection] = weakref.WeakSet()
        self._plain, self._secure = _kinds(self.add)
        cancellation.breaks(self._break_off)

    def watched(self, pool: HTTPConnectionPool) -> HTTPConnectionPool:
        """`pool`, whose connections are ours from now on. Idempotent."""
        pool.ConnectionCls = self._secure if isinstance(pool, HTTPSConnectionPool) else self._plain
        return pool

    def add(self, connection: HTTPConnection) -> None:
        """`connection` stands. Raises `Cancelled`, so that none comes up behind a cancellation."""
        with self._lock:
            self._open.add(connection)
        self.cancellation.check()

    def _break_off(self) -> None:
        with self._lock:
            standing = [connection.sock for connection in self._open]
        for sock in standing:
            with suppress(OSError):  # it has ended, or its thread closes it just now
                if sock is not None:
                    # TLS's own shutdown would take the object away under the thread that reads from it.
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)


def _kinds(stands: Callable[[HTTPConnection], None]) -> tuple[type[HTTPConnection], type[HTTPSConnection]]:
    """Connections without and with TLS that tell `stands` of themselves."""

    class Plain(HTTPConnection):
        def connect(self) -> None:
            super().connect()
            stands(self)

    class Secure(HTTPSConnection):
        def connect(self) -> None:
            super().connect()
            stands(self)

    return Plain, Secure
