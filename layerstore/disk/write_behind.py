"""A large file that grows: its bytes go to the disk while more come, so that making it durable is short at the end."""

import os
from contextlib import suppress
from typing import Final

from layerstore import linux

STEP: Final = 8 << 20
"""Bytes after which the disk is told to begin."""
_DROPPED_BEHIND: Final = 2 * STEP
"""Bytes that the disk may lag behind, until their pages are given back."""


class WriteBehind:
    """Follows a file that somebody appends to. By itself the kernel would begin half a minute later.

    With `is_read_again` false, what is on the disk leaves the page cache: whatever else is there is of more use.
    What the kernel does not do, as on a full queue or another kind of file system, the final sync does.
    """

    def __init__(self, fd: int, *, is_read_again: bool) -> None:
        self._fd = fd
        self._is_read_again = is_read_again
        self._begun = 0

    def advance(self, size: int) -> None:
        """The file has `size` bytes by now. Whether their writing fails is for the final sync to tell."""
        if size - self._begun < STEP:
            return
        with suppress(OSError):
            linux.sync_file_range(self._fd, self._begun, size - self._begun, linux.SYNC_FILE_RANGE_WRITE)
        self._begun = size
        if size > _DROPPED_BEHIND:
            self._drop(size - _DROPPED_BEHIND)

    def end(self) -> None:
        """The file is whole and durable."""
        if self._begun:
            self._drop(self._begun + STEP)

    def _drop(self, length: int) -> None:
        """Give back the pages of the first `length` bytes, but for those that are not written yet: posix_fadvise(2)."""
        if not self._is_read_again:
            with suppress(OSError):
                os.posix_fadvise(self._fd, 0, length, os.POSIX_FADV_DONTNEED)
