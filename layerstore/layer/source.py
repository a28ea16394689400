"""What the tar reader reads from: bytes by position, of a tar that is finished or still growing."""

import os
from typing import Final, Protocol

from layerstore.errors import storage_error

BLOCK: Final = 512
"""A tar's unit, and the index's block size."""


class Source(Protocol):
    """A tar by position."""

    def pread(self, offset: int, size: int) -> bytes:
        """`size` bytes at `offset`, fewer only where the tar ends. Waits for bytes still to come."""

    def length(self) -> int:
        """Bytes of the whole tar. Waits until that is known."""


class TarFile:
    """A finished tar, open as `fd`. The fd stays the caller's."""

    __slots__ = ("_fd",)

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def pread(self, offset: int, size: int) -> bytes:
        return read_at(self._fd, offset, size)

    def length(self) -> int:
        return os.fstat(self._fd).st_size


def read_at(fd: int, offset: int, size: int) -> bytes:
    """`size` bytes of `fd` at `offset`, fewer only at its end. Raises `StorageError`."""
    try:
        data = os.pread(fd, size, offset)
        while len(data) < size and (more := os.pread(fd, size - len(data), offset + len(data))):
            data += more
    except OSError as error:
        raise storage_error(error, "read a layer's tar") from error
    return data


def padded(size: int) -> int:
    """`size` rounded up to whole blocks."""
    return -(-size // BLOCK) * BLOCK
