"""The window of a terminal: how many rows and columns it shows. ioctl_tty(2)."""

from __future__ import annotations

import fcntl
import struct
import termios


def resize(terminal: int, rows: int, columns: int) -> None:
    """Give the terminal its size; whoever runs on it gets SIGWINCH."""
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def size(terminal: int) -> tuple[int, int]:
    """Rows and columns."""
    rows, columns, _, _ = struct.unpack("HHHH", fcntl.ioctl(terminal, termios.TIOCGWINSZ, bytes(8)))
    return rows, columns
