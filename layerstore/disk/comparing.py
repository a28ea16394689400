"""Comparing files by what they hold, at the price of their data: holes are skipped, however long. lseek(2)."""

import errno
import os

_CHUNK = 1 << 20


def has_same_contents(first: str, second: str) -> bool:
    """Whether two files hold the same bytes, wherever their holes are. Raises ``OSError``."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
    one = os.open(first, flags)
    try:
        other = os.open(second, flags)
        try:
            return _is_same(one, other)
        finally:
            os.close(other)
    finally:
        os.close(one)


def _is_same(one: int, other: int) -> bool:
    size = os.fstat(one).st_size
    if os.fstat(other).st_size != size:
        return False
    position = 0
    while (position := min(_next_data(fd, position, size) for fd in (one, other))) < size:
        data = os.pread(one, _CHUNK, position)
        if not data or data != os.pread(other, _CHUNK, position):
            return False
        position += len(data)
    return True


def _next_data(fd: int, position: int, size: int) -> int:
    """Where the next data is that is not a hole; the file's end where there is none."""
    try:
        return os.lseek(fd, position, os.SEEK_DATA)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return size
