"""A large file that passes through: to the disk while more of it comes, and out of the page cache once it was read."""

import os
from contextlib import suppress
from typing import Final

from layerstore import linux

STEP: Final = 2 << 20
"""Bytes after which the disk is told to begin, and after which pages are given back."""
LAG: Final = 16 << 20
"""Bytes that the disk may lag behind, and their pages be given back all the same."""


class WriteBehind:
    """Follows a file that somebody appends to. By itself the kernel would begin to write half a minute later."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._begun = 0

    def advance(self, size: int) -> None:
        """The file has `size` bytes by now. Whether their writing fails is for the final sync to tell."""
        if size - self._begun < STEP:
            return
        # What the kernel does not do, as on a full queue or another kind of file system, the final sync does.
        with suppress(OSError):
            linux.sync_file_range(self._fd, self._begun, size - self._begun, linux.SYNC_FILE_RANGE_WRITE)
        self._begun = size


class DropBehind:
    """Follows whoever reads or writes a file from its start, and gives back the pages that this one is done with.

    Pages that are used over and over stay warm in a virtual machine, and whatever else the page cache holds stays
    there (docs/adr/0010). A page that is not on the disk yet is not given back, see posix_fadvise(2).
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._done = 0

    def advance(self, position: int) -> None:
        """What lies before `position` is of no more use."""
        if position - self._done < STEP:
            return
        start = max(0, self._done - LAG)
        self._drop(start, position - start)
        self._done = position

    def end(self) -> None:
        """Nothing of the file is of use any more. A file that was never long stays as it is."""
        if self._done:
            self._drop(0, 0)

    def _drop(self, start: int, length: int) -> None:
        with suppress(OSError):
            os.posix_fadvise(self._fd, start, length, os.POSIX_FADV_DONTNEED)
