"""The terminal of a container: a pair of the container's own devpts, its master handed out to whoever owns it.

The pair is opened through the mount that was just made and the slave by ioctl_tty(2) TIOCGPTPEER, never by a
path that the container could have replaced (CVE-2025-52565). pty(7).
"""

from __future__ import annotations

import _socket  # socket's own module costs 6 ms and half a megabyte in each monitor
import errno
import fcntl
import os
import stat
import struct
import termios

from layerstore import linux
from layerstore.errors import LaunchError
from runner.attachment import attach_at
from runner.failure import Doing

_TIOCSPTLCK = 0x40045431
_TIOCGPTPEER = 0x5441
_PTMX = os.makedev(5, 2)
_EXACTLY = linux.RESOLVE_IN_ROOT | linux.RESOLVE_NO_SYMLINKS


class Pair:
    """A terminal: descriptors of its master and its slave."""

    __slots__ = ("master", "slave")

    def __init__(self, master: int, slave: int) -> None:
        self.master = master
        self.slave = slave

    def take(self, uid: int) -> None:
        """Make the slave the controlling terminal, and 0, 1 and 2, of this session leader; `uid` will own it."""
        with Doing("take the terminal"):
            os.fchown(self.slave, uid, -1)
            fcntl.ioctl(self.slave, termios.TIOCSCTTY, 0)
            for number in range(3):
                os.dup2(self.slave, number)
            os.close(self.slave)


def open_pair(root: int) -> Pair:
    """A new terminal of the devpts that is mounted at /dev/pts in the directory descriptor `root`.

    Raises `LaunchError`.
    """
    with Doing("open a terminal inside the container"):
        master = linux.openat2(root, "dev/pts/ptmx", os.O_RDWR | os.O_NOCTTY, resolve=_EXACTLY)
        status = os.fstat(master)
        if not stat.S_ISCHR(status.st_mode) or status.st_rdev != _PTMX:
            raise OSError(errno.ENODEV, "dev/pts/ptmx is no terminal multiplexer")
        fcntl.ioctl(master, _TIOCSPTLCK, struct.pack("i", 0))
        return Pair(master, open_slave(master))


def open_slave(master: int) -> int:
    """One more descriptor of the slave of `master`. Raises ``OSError``."""
    return fcntl.ioctl(master, _TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)


def show_as_console(root: int, slave: int) -> None:
    """Bind the terminal over /dev/console in `root`, whose /dev is ours alone as yet. Raises `LaunchError`."""
    with Doing("set up /dev/console"):
        flags = os.O_CREAT | os.O_EXCL | os.O_RDONLY | os.O_NOFOLLOW
        point = linux.openat2(root, "dev/console", flags, mode=0o600, resolve=_EXACTLY)
        tree = linux.open_tree(slave, "", linux.OPEN_TREE_CLONE | linux.AT_EMPTY_PATH)
        attach_at(tree, point)
        os.close(tree)
        os.close(point)


def hand_out(master: int, channel: int) -> None:
    """Send `master` over the unix socket `channel`, and close both."""
    with Doing("hand out the terminal"):
        sender = _socket.socket(fileno=channel)
        rights = struct.pack("i", master)
        sender.sendmsg([b"m"], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)])
        sender.close()
        os.close(master)


def receive(channel: _socket.socket) -> int:
    """The master that `hand_out` sent. Raises `LaunchError` where none came."""
    _, ancillary, _, _ = channel.recvmsg(1, _socket.CMSG_SPACE(4))
    for level, kind, data in ancillary:
        if (level, kind) == (_socket.SOL_SOCKET, _socket.SCM_RIGHTS):
            (master,) = struct.unpack("i", data[:4])
            os.set_inheritable(master, False)
            return int(master)
    raise LaunchError("cannot get the container's terminal: none was sent")
