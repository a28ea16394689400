"""Writing behind a growing file, and giving back what was read of it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.page_cache import cached_bytes
from layerstore.disk.write_behind import LAG, STEP, DropBehind, WriteBehind

_SIZE = LAG + 4 * STEP
_CHUNK = STEP // 4


@pytest.fixture
def file(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path / "blob", os.O_RDWR | os.O_CREAT | os.O_APPEND)
    yield fd
    os.close(fd)


def grow(fd: int, size: int) -> None:
    behind = WriteBehind(fd)
    for reached in range(_CHUNK, size + 1, _CHUNK):
        os.write(fd, os.urandom(_CHUNK))
        behind.advance(reached)
    os.fdatasync(fd)


def test_what_is_passed_leaves_the_page_cache(file: int) -> None:
    grow(file, _SIZE)
    drop = DropBehind(file)

    for position in range(0, _SIZE // 2 + 1, _CHUNK):
        drop.advance(position)

    assert cached_bytes(file) == _SIZE // 2


def test_at_the_end_all_of_it_leaves(file: int) -> None:
    grow(file, _SIZE)
    drop = DropBehind(file)

    drop.advance(_SIZE)
    drop.end()

    assert cached_bytes(file) == 0


def test_a_page_that_was_not_on_the_disk_in_time_is_given_back_later(file: int) -> None:
    os.write(file, os.urandom(STEP))
    drop = DropBehind(file)
    drop.advance(STEP)
    assert cached_bytes(file) == STEP

    os.fdatasync(file)
    os.write(file, os.urandom(STEP))
    drop.advance(2 * STEP)

    assert cached_bytes(file) == STEP


def test_a_small_file_stays_as_it_is(file: int) -> None:
    grow(file, _CHUNK)
    drop = DropBehind(file)

    drop.advance(_CHUNK)
    drop.end()

    assert cached_bytes(file) == _CHUNK


def test_a_file_that_has_no_pages_is_let_be() -> None:
    reader, writer = os.pipe()
    behind, drop = WriteBehind(writer), DropBehind(writer)

    behind.advance(_SIZE)
    drop.advance(_SIZE)
    drop.end()

    os.close(reader)
    os.close(writer)
