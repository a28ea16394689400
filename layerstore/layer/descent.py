"""A walk down one directory tree by descriptors, however deep the tree is.

Every step is one name, opened relative to the directory before it and never through a symlink, so no
process that renames things meanwhile can lead the walk elsewhere.
"""

import errno
import os
from typing import Final

DIRECTORY_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
MAX_OPEN: Final = 64
"""Descriptors that one walk keeps. Directories further up are found again by ``..``, and must be the same."""

_Identity = tuple[int, int]


class Descent:
    """Where a walk is. It starts at the directory `root`, which stays the caller's."""

    __slots__ = ("_closed", "_open")

    def __init__(self, root: int) -> None:
        self._open = [os.dup(root)]
        self._closed: list[_Identity] = []

    @property
    def fd(self) -> int:
        """The directory at hand; valid until the next step."""
        return self._open[-1]

    def enter(self, name: bytes) -> None:
        """Step into the directory `name`, one component. Raises ``OSError``, also for a symlink."""
        self._open.append(os.open(name, DIRECTORY_FLAGS, dir_fd=self.fd))
        if len(self._open) > MAX_OPEN:
            topmost = self._open.pop(0)
            self._closed.append(_identity(topmost))
            os.close(topmost)

    def leave(self) -> int:
        """Step back up; the descriptor of the directory left is now the caller's.

        Raises ``OSError`` where that directory is not inside the one it was entered from any more.
        """
        if len(self._open) == 1:
            self._open.insert(0, self._reopen(self.fd))
        return self._open.pop()

    def close(self) -> None:
        """Close all that the walk opened. Idempotent."""
        while self._open:
            os.close(self._open.pop())

    def _reopen(self, child: int) -> int:
        parent = os.open(b"..", DIRECTORY_FLAGS, dir_fd=child)
        if _identity(parent) != self._closed.pop():
            os.close(parent)
            raise OSError(errno.ESTALE, "a directory was moved meanwhile")
        return parent


def _identity(fd: int) -> _Identity:
    status = os.fstat(fd)
    return status.st_dev, status.st_ino
