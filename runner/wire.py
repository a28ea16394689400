"""What a monitor and its clients say to each other: messages over a unix socket that keeps them apart.

Each message is one byte of kind and its data (unix(7) SOCK_SEQPACKET, so no lengths).
"""

from __future__ import annotations

import _socket  # socket's own module costs 6 ms and half a megabyte in each monitor
import os

# client → monitor
INPUT = b"i"  # data for standard input
END_OF_INPUT = b"e"
RESIZE = b"r"  # struct "HH": rows, columns
WATCH = b"w"  # which of OUTPUT and ERRORS this client wants, as their bytes
SIGNAL = b"k"  # one byte, the signal's number
STOPPING = b"s"  # do not start it again, whatever its policy says
POLICY = b"p"  # the text of a restart policy that takes the place of the present one
PAUSED = b"f"  # one byte: whether it was frozen or thawed
# monitor → client
OUTPUT = b"o"
ERRORS = b"E"
DONE = b"d"  # what was asked for is done
FAILED = b"!"  # or not, and why
EXITED = b"x"  # one byte, the exit status; nothing follows of this run

MAX_DATA = 32 << 10
_BACKLOG = 64
SOCKET = "socket"


def pair() -> tuple[_socket.socket, _socket.socket]:
    """Two ends of one connection."""
    return _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)


def listen(directory: str) -> _socket.socket:
    """The socket at which the monitor of the container in `directory` listens. Raises ``OSError``."""
    server = _new()
    fd = _open(directory)
    try:
        server.bind(_address(fd))
        server.listen(_BACKLOG)
    finally:
        os.close(fd)
    server.setblocking(False)
    return server


def connect(directory: str) -> _socket.socket:
    """A connection to the monitor of the container in `directory`. Raises ``OSError`` where nobody listens."""
    client = _new()
    fd = _open(directory)
    try:
        client.connect(_address(fd))
    except OSError:
        client.close()
        raise
    finally:
        os.close(fd)
    return client


def receive(connection: _socket.socket) -> bytes:
    """The next message, b"" once the other side has hung up. Raises ``BlockingIOError``, ``OSError``.

    Where it hung up before it had read all of ours, the kernel tells of that once, before what it still sent.
    """
    try:
        return connection.recv(MAX_DATA + 1)
    except ConnectionResetError:
        return connection.recv(MAX_DATA + 1)


def _new() -> _socket.socket:
    return _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)


def _open(directory: str) -> int:
    return os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def _address(fd: int) -> str:
    """By way of a descriptor, since unix(7) takes only 108 bytes of a path."""
    return f"/proc/self/fd/{fd}/{SOCKET}"
