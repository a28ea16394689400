"""The window of a terminal: how many rows and columns it shows. ioctl_tty(2)."""

from __future__ import annotations

import fcntl
import os
import struct

_TIOCSWINSZ = (
    0x5414  # asm-generic/ioctls.h; termios is loaded by those alone who have a terminal of their own
)


def resize(terminal: int, rows: int, columns: int) -> None:
    """Give the terminal its size; whoever runs on it gets SIGWINCH."""
    fcntl.ioctl(terminal, _TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def size(terminal: int) -> tuple[int, int]:
    """Rows and columns."""
    columns, rows = os.get_terminal_size(terminal)
    return rows, columns
