"""Writing behind a growing file: what is on the disk leaves the page cache, unless it is read again."""

import ctypes
import mmap
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from layerstore.disk.write_behind import STEP, WriteBehind

_SIZE = 4 * STEP
_CHUNK = STEP // 4


@pytest.fixture
def file(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path / "blob", os.O_RDWR | os.O_CREAT | os.O_APPEND)
    yield fd
    os.close(fd)


def cached_bytes(fd: int) -> int:
    """How much of the file is in the page cache: mincore(2)."""
    size = os.fstat(fd).st_size
    pages = -(-size // mmap.PAGESIZE)
    seen = (ctypes.c_ubyte * pages)()
    with mmap.mmap(fd, size, prot=mmap.PROT_READ | mmap.PROT_WRITE) as mapped:
        start = ctypes.c_char.from_buffer(mapped)
        result = ctypes.CDLL(None).mincore(ctypes.byref(start), ctypes.c_size_t(size), seen)
        del start
    assert result == 0
    return sum(page & 1 for page in seen) * mmap.PAGESIZE


def grow(fd: int, behind: WriteBehind) -> None:
    for size in range(_CHUNK, _SIZE + 1, _CHUNK):
        os.write(fd, os.urandom(_CHUNK))
        behind.advance(size)
    os.fdatasync(fd)
    behind.end()


@pytest.mark.parametrize("is_read_again", [True, False])
def test_what_nobody_reads_again_leaves_the_page_cache(file: int, is_read_again: bool) -> None:
    grow(file, WriteBehind(file, is_read_again=is_read_again))

    assert cached_bytes(file) == (_SIZE if is_read_again else 0)


def test_a_small_file_stays_as_it_is(file: int) -> None:
    behind = WriteBehind(file, is_read_again=False)
    os.write(file, bytes(_CHUNK))

    behind.advance(_CHUNK)
    os.fdatasync(file)
    behind.end()

    assert cached_bytes(file) == _CHUNK


def test_a_file_that_the_kernel_cannot_write_behind_is_let_be() -> None:
    reader, writer = os.pipe()
    behind = WriteBehind(writer, is_read_again=False)

    behind.advance(_SIZE)
    behind.end()

    os.close(reader)
    os.close(writer)
