"""Digests remembered from one build to the next."""

import os
from pathlib import Path

import pytest

from layerstore.build.digest_cache import DigestCache
from layerstore.errors import StorageError

SECOND = 1_000_000_000
DIGEST = bytes(range(32))


def state(path: Path) -> os.stat_result:
    return path.stat()


def later(path: Path, nanoseconds: int = 10 * SECOND) -> int:
    """A moment after the file was last touched."""
    return max(state(path).st_ctime_ns, state(path).st_mtime_ns) + nanoseconds


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_text("content")
    return path


@pytest.fixture
def where(tmp_path: Path) -> str:
    return os.fspath(tmp_path / "cache/digests")


def test_what_is_remembered_is_known_to_the_next_build(file: Path, where: str) -> None:
    cache = DigestCache(where)
    cache.remember(state(file), DIGEST, later(file))
    cache.save()

    assert cache.find(state(file)) == DIGEST
    assert DigestCache(where).find(state(file)) == DIGEST


def test_a_file_that_changed_is_unknown(file: Path, where: str) -> None:
    cache = DigestCache(where)
    cache.remember(state(file), DIGEST, later(file))
    before = state(file)

    file.write_text("CONTENT")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert state(file).st_size == before.st_size
    assert cache.find(state(file)) is None


@pytest.mark.parametrize("age", [-SECOND, 0, 10_000_000])
def test_a_file_written_in_the_tick_it_was_read_in_is_not_remembered(
    file: Path, where: str, age: int
) -> None:
    cache = DigestCache(where)

    cache.remember(state(file), DIGEST, later(file, age))

    assert cache.find(state(file)) is None


def test_the_clock_is_the_callers(where: str) -> None:
    assert DigestCache(where, lambda: 42).now() == 42


@pytest.mark.parametrize("damage", ["truncate", "flip", "foreign", "empty"])
def test_a_damaged_cache_is_as_good_as_none(file: Path, where: str, damage: str) -> None:
    cache = DigestCache(where)
    cache.remember(state(file), DIGEST, later(file))
    cache.save()
    raw = Path(where).read_bytes()
    broken = {
        "truncate": raw[:-1],
        "flip": raw[:-1] + bytes([raw[-1] ^ 1]),
        "foreign": b"x" * 100,
        "empty": b"",
    }
    Path(where).write_bytes(broken[damage])

    assert DigestCache(where).find(state(file)) is None


def test_without_news_nothing_is_written(file: Path, where: str) -> None:
    DigestCache(where).save()

    assert not os.path.exists(where)


def test_a_cache_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        DigestCache(os.fspath(tmp_path))


def test_a_cache_that_cannot_be_written_is_told(file: Path, tmp_path: Path) -> None:
    cache = DigestCache(os.fspath(tmp_path / "cache/digests"))
    cache.remember(state(file), DIGEST, later(file))
    (tmp_path / "cache").write_text("in the way")

    with pytest.raises(StorageError):
        cache.save()
