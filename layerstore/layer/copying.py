"""A file's data out of a layer's tar, holes kept."""

import errno
import os
from typing import Final

from layerstore.errors import StoreDamaged
from layerstore.layer.entry import Entry
from layerstore.layer.names import shown

_SMALL: Final = 128 << 10
"""Up to here two calls are faster than copy_file_range(2) and its pipe."""
_CHUNK: Final = 1 << 20
_NO_RANGE_COPY: Final = frozenset({errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS, errno.EPERM})


def copy_data(entry: Entry, tar: int, fd: int) -> None:
    """Write the content of the regular file `entry` from `tar` to the empty file `fd`.

    Raises `StoreDamaged` where the tar ends too soon, ``OSError``.
    """
    if entry.sparse is None:
        _copy(entry, tar, entry.offset, fd, 0, entry.size)
        return
    os.ftruncate(fd, entry.size)
    offset = entry.offset
    for start, length in entry.sparse:
        _copy(entry, tar, offset, fd, start, length)
        offset += length


def _copy(entry: Entry, tar: int, source: int, fd: int, start: int, length: int) -> None:
    end = source + length
    while length > _SMALL:
        try:
            copied = os.copy_file_range(tar, fd, length, source, start)
        except OSError as error:
            if error.errno not in _NO_RANGE_COPY:
                raise
            break
        if copied == 0:
            break
        source, start, length = source + copied, start + copied, length - copied
    while source < end:
        data = os.pread(tar, min(_CHUNK, end - source), source)
        if not data:
            raise StoreDamaged(f"cannot write {shown(entry.path)}: its layer's tar ends at byte {source}")
        written = os.pwrite(fd, data, start)
        source, start = source + written, start + written
