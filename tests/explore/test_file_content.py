"""Reading files out of tars: holes are zeros, equality is what a reader would find, copies are found."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from layerstore.errors import StoreDamaged
from layerstore.layer.entry import Entry, Kind
from lstore.engine.duplicates import find_duplicates
from lstore.engine.file_content import Content, content_digest, is_same_content
from lstore.engine.ledger import Stored

Segments = Sequence[tuple[int, bytes]]

SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
segments = st.lists(st.tuples(st.integers(0, 5), st.binary(max_size=4)), max_size=5)


@pytest.fixture
def tar(tmp_path: Path) -> Iterator[int]:
    """An empty file, open, to play a layer's tar."""
    fd = os.open(tmp_path / "tar", os.O_RDWR | os.O_CREAT)
    yield fd
    os.close(fd)


def sparse_file(tar: int, parts: Segments, tail: int = 0) -> tuple[bytes, Content]:
    """What (hole, data) pairs and a hole of `tail` bytes read as, and the sparse file of them at the end of `tar`."""
    seen, regions, offset = b"", [], os.fstat(tar).st_size
    for hole, data in parts:
        seen += bytes(hole)
        regions.append((len(seen), len(data)))
        os.pwrite(tar, data, os.fstat(tar).st_size)
        seen += data
    seen += bytes(tail)
    return seen, Content(Entry(b"f", Kind.REGULAR, size=len(seen), offset=offset, sparse=tuple(regions)), tar)


def plain_file(tar: int, data: bytes) -> Content:
    offset = os.fstat(tar).st_size
    os.pwrite(tar, data, offset)
    return Content(Entry(b"f", Kind.REGULAR, size=len(data), offset=offset), tar)


@SHARED
@given(segments, st.integers(0, 4), st.data())
def test_any_part_of_a_sparse_file_reads_as_its_holes_and_data(
    tar: int, parts: Segments, tail: int, data: st.DataObject
) -> None:
    seen, content = sparse_file(tar, parts, tail)
    start = data.draw(st.integers(0, len(seen)))
    size = data.draw(st.integers(0, len(seen) - start))

    assert content.read(start, size) == seen[start : start + size]


@SHARED
@given(segments, segments, st.booleans())
def test_files_are_the_same_if_readers_see_the_same(
    tar: int, parts: Segments, others: Segments, is_other_plain: bool
) -> None:
    seen, content = sparse_file(tar, parts)
    twin, other = sparse_file(tar, others)
    if is_other_plain:
        twin, other = seen, plain_file(tar, seen)

    assert is_same_content(content, other) == (seen == twin)


def test_holes_of_a_terabyte_are_compared_without_reading_them(tar: int) -> None:
    size = 1 << 40
    one, other = (Entry(b"f", Kind.REGULAR, size=size, sparse=((size, 0),)) for _ in range(2))

    assert is_same_content(Content(one, tar), Content(other, tar))


def test_a_tar_that_ends_too_soon_is_damage(tar: int) -> None:
    content = Content(Entry(b"f", Kind.REGULAR, size=10, offset=512), tar)

    with pytest.raises(StoreDamaged, match="ends too soon"):
        content.read(0, 10)


def test_the_digest_is_that_of_the_content(tar: int) -> None:
    data = bytes(range(256)) * 5000

    digest = content_digest(plain_file(tar, data))

    assert digest.encoded == hashlib.sha256(data).hexdigest()


@SHARED
@given(
    st.lists(
        st.sampled_from([b"", b"a", b"b", b"aa", b"a" * 5000, b"a" * 4999 + b"b", b"c" * 5000]), max_size=12
    )
)
def test_copies_are_the_files_of_equal_content(tar: int, contents: list[bytes]) -> None:
    files = [
        Stored(str(number).encode(), 0, plain_file(tar, data).entry) for number, data in enumerate(contents)
    ]

    found = find_duplicates(files, [tar], limit=2)

    expected = {data: contents.count(data) for data in contents if data and contents.count(data) > 1}
    assert {each.digest.encoded: len(each.files) for each in found} == {
        hashlib.sha256(data).hexdigest(): count for data, count in expected.items()
    }
    assert sum(each.extra for each in found) == sum(
        len(data) * (count - 1) for data, count in expected.items()
    )


def test_copies_come_with_the_largest_gain_first_and_their_places_in_order(tar: int) -> None:
    small, large = plain_file(tar, b"s").entry, plain_file(tar, b"l" * 9).entry
    more = plain_file(tar, b"l" * 9).entry
    less = plain_file(tar, b"s").entry
    files = [Stored(b"z", 0, small), Stored(b"a", 1, less), Stored(b"y", 1, large), Stored(b"x", 0, more)]

    found = find_duplicates(files, [tar, tar])

    assert [[(each.layer, each.path) for each in group.files] for group in found] == [
        [(0, b"x"), (1, b"y")],
        [(0, b"z"), (1, b"a")],
    ]
