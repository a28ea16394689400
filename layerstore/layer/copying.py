"""A file's data out of a layer's tar, holes kept."""

import os
from typing import Final

from layerstore.errors import StoreDamaged
from layerstore.layer.entry import Entry
from layerstore.layer.names import shown

# Read and written rather than copy_file_range(2): a tar's 512-byte alignment lets no file system share
# extents, and without that the kernel copies through a pipe, which was never faster.
_CHUNK: Final = 1 << 20


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
    while source < end:
        data = os.pread(tar, min(_CHUNK, end - source), source)
        if not data:
            raise StoreDamaged(f"cannot write {shown(entry.path)}: its layer's tar ends at byte {source}")
        written = os.pwrite(fd, data, start)
        source, start = source + written, start + written
