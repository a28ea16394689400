"""`layerstore.layer.pack` writes what every reader of tars reads alike, and the same bytes every time."""

import io
import os
import subprocess
import tarfile
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.torture import make_torture
from fixtures.trees import differences, tree_facts
from layerstore.errors import Conflict, LimitExceeded
from layerstore.layer.diff import diff, members
from layerstore.layer.entry import Entry, Kind
from layerstore.layer.pack import Member, Packed, pack
from layerstore.layer.pax import MAX_XATTR_SIZE, MAX_XATTRS_SIZE
from layerstore.layer.source import BLOCK
from layerstore.layer.tar import read_entries
from layerstore.oci.digest import Digest

FILE = Entry(b"f", Kind.REGULAR, 0o644)
USTAR_ONLY = 3 * BLOCK
"""One header and the end: what a member without extended header and content takes."""


class Bytes:
    """A tar in memory, as a `Source`."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def pread(self, offset: int, size: int) -> bytes:
        return self._data[offset : offset + size]

    def length(self) -> int:
        return len(self._data)


def packed(items: Iterable[Member | Entry], *, clamp: int | None = None) -> tuple[bytes, Packed]:
    stream = io.BytesIO()
    taken = (item if isinstance(item, Member) else Member(item) for item in items)
    result = pack(taken, stream.write, clamp=clamp)
    return stream.getvalue(), result


def member(entry: Entry, content: bytes) -> Member:
    return Member(entry._replace(size=len(content)), Bytes(content).pread)


def entries_of(*items: Member | Entry) -> list[Entry]:
    return list(read_entries(Bytes(packed(items)[0])))


def test_the_diff_id_and_size_are_those_of_the_bytes() -> None:
    data, result = packed([member(FILE, b"content")])

    assert result == Packed(Digest.of(data), len(data))
    assert len(data) % BLOCK == 0


def test_a_layer_of_nothing_is_an_empty_tar() -> None:
    data, _ = packed([])

    assert data == bytes(2 * BLOCK)


@pytest.mark.root
def test_packing_the_same_tree_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    upper = os.open(make_torture(tmp_path / "source"), os.O_RDONLY)

    first, second = (packed(members(diff(upper, None)))[0] for _ in range(2))

    os.close(upper)
    assert first == second


@pytest.mark.root
def test_gnu_tar_makes_of_it_what_was_packed(tmp_path: Path) -> None:
    source = make_torture(tmp_path / "source")
    upper = os.open(source, os.O_RDONLY)
    (tmp_path / "theirs").mkdir()
    (tmp_path / "layer.tar").write_bytes(packed(members(diff(upper, None)))[0])
    os.close(upper)

    options = ["--xattrs", "--xattrs-include=*", "--acls", "--numeric-owner", "-p"]
    subprocess.run(
        ["tar", "-C", tmp_path / "theirs", "-xf", tmp_path / "layer.tar", *options],
        check=True,
        capture_output=True,
    )

    assert differences(tree_facts(tmp_path / "theirs"), tree_facts(source)) == {}


@pytest.mark.root
def test_python_reads_every_member_as_it_was(tmp_path: Path) -> None:
    upper = os.open(make_torture(tmp_path / "source"), os.O_RDONLY)
    data, _ = packed(members(diff(upper, None)))
    expected = [(each.entry.path, each.entry.mode, each.entry.uid) for each in diff(upper, None)]
    os.close(upper)

    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        found = [(os.fsencode(each.name), each.mode, each.uid) for each in archive]

    assert found == [(path or b".", mode, uid) for path, mode, uid in expected]


@pytest.mark.parametrize(
    "entry",
    [
        FILE,
        FILE._replace(path=b"n" * 100),
        FILE._replace(path=b"d" * 155 + b"/" + b"n" * 100),
        FILE._replace(path=b"\xff" * 100),
        FILE._replace(path=b"d", kind=Kind.DIRECTORY),
        FILE._replace(uid=8**7 - 1, gid=8**7 - 1, mtime=8**11 - 1),
        FILE._replace(kind=Kind.SYMLINK, link=b"t" * 100),
    ],
    ids=lambda entry: f"{entry.kind.name} {len(entry.path)} {entry.uid}",
)
def test_what_ustar_has_room_for_gets_no_extended_header(entry: Entry) -> None:
    data, _ = packed([entry])

    assert len(data) == USTAR_ONLY
    assert next(read_entries(Bytes(data)))._replace(offset=0) == entry


@pytest.mark.parametrize(
    "entry",
    [
        FILE._replace(path=b"n" * 101),
        FILE._replace(path=b"d" * 156 + b"/" + b"n" * 98),
        FILE._replace(path=b"d/" * 127 + b"ee", kind=Kind.DIRECTORY),
        FILE._replace(path=b"\xff" * 250),
        FILE._replace(kind=Kind.SYMLINK, link=b"t" * 101),
        FILE._replace(uid=8**7),
        FILE._replace(gid=(1 << 32) - 2),
        FILE._replace(mtime=8**11),
        FILE._replace(mtime=-1),
        FILE._replace(mtime=-13, nsec=500_000_000),
        FILE._replace(nsec=1),
        FILE._replace(xattrs={b"user.a": b"1\n=\0", b"user.b=c%": b"\xff" * 100}),
    ],
    ids=str,
)
def test_what_ustar_has_no_room_for_is_kept_all_the_same(entry: Entry) -> None:
    found = entries_of(entry)

    assert [each._replace(offset=0) for each in found] == [entry]


@given(length=st.integers(0, 1200))
def test_a_record_of_any_length_says_its_own(length: int) -> None:
    entry = FILE._replace(xattrs={b"user.a": b"v" * length})

    assert entries_of(entry)[0].xattrs == entry.xattrs


def test_a_file_larger_than_eight_gibibytes_says_so_in_its_extended_header() -> None:
    size = 8**11
    entry = FILE._replace(size=size)

    headers = packed([Member(entry)])[0]  # without a reader no content follows: the headers alone

    records = headers[BLOCK : 2 * BLOCK].rstrip(b"\0")
    assert records == b"19 size=8589934592\n"


def test_removals_become_the_names_that_stand_for_them() -> None:
    data, _ = packed(
        [
            Entry(b"gone", Kind.WHITEOUT),
            Entry(b"d/gone", Kind.WHITEOUT),
            Entry(b"d", Kind.OPAQUE),
            Entry(b"", Kind.OPAQUE),
        ]
    )

    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        names = archive.getnames()
    assert names == [".wh.gone", "d/.wh.gone", "d/.wh..wh..opq", ".wh..wh..opq"]


def test_times_are_clamped_and_older_ones_stay() -> None:
    times = [(99, 5), (100, 0), (100, 1), (101, 0)]
    entries = [FILE._replace(mtime=mtime, nsec=nsec) for mtime, nsec in times]

    found = read_entries(Bytes(packed(entries, clamp=100)[0]))

    assert [(each.mtime, each.nsec) for each in found] == [(99, 5), (100, 0), (100, 0), (100, 0)]


def test_a_sparse_file_is_stored_whole() -> None:
    entry = FILE._replace(size=3_000_000, offset=512, sparse=((1000, 5), (2_000_000, 3)))

    data, _ = packed([Member(entry, Bytes(bytes(512) + b"helloyou").pread)])

    found = next(read_entries(Bytes(data)))
    content = data[found.offset : found.offset + found.size]
    assert (found.size, found.sparse) == (3_000_000, None)
    assert content == bytes(1000) + b"hello" + bytes(1_998_995) + b"you" + bytes(999_997)


def test_content_that_became_shorter_is_a_conflict() -> None:
    with pytest.raises(Conflict, match="cannot pack 'f': it became shorter"):
        packed([Member(FILE._replace(size=10), Bytes(b"short").pread)])


@pytest.mark.parametrize(
    "xattrs",
    [
        {b"user.a": bytes(MAX_XATTR_SIZE + 1)},
        {b"user.%d" % number: bytes(MAX_XATTRS_SIZE // 4) for number in range(4)},
    ],
    ids=["one", "all"],
)
def test_attributes_that_no_reader_takes_are_refused(xattrs: dict[bytes, bytes]) -> None:
    with pytest.raises(LimitExceeded, match="cannot pack 'f'"):
        packed([FILE._replace(xattrs=xattrs)])


NAME = st.binary(min_size=1, max_size=60).filter(
    lambda name: not {0, 0x2F} & set(name) and name not in (b".", b"..")
)
PATH = st.lists(NAME, min_size=1, max_size=8).map(b"/".join)
XATTRS = st.dictionaries(
    st.binary(min_size=1, max_size=20).filter(lambda name: 0 not in name).map(lambda name: b"user." + name),
    st.binary(max_size=50),
    max_size=3,
)
PLAIN: dict[str, st.SearchStrategy[object]] = {
    "path": PATH,
    "mode": st.integers(0, 0o7777),
    "uid": st.integers(0, (1 << 32) - 2),
    "gid": st.integers(0, (1 << 32) - 2),
    "mtime": st.integers(-(1 << 40), 1 << 40),
    "nsec": st.integers(0, 999_999_999),
    "size": st.just(0),
    "offset": st.just(0),
    "link": st.just(b""),
    "major": st.just(0),
    "minor": st.just(0),
    "xattrs": XATTRS,
    "sparse": st.none(),
}
DEVICE = {"major": st.integers(0, 4095), "minor": st.integers(0, (1 << 20) - 1)}
ENTRIES = st.one_of(
    st.builds(Entry, kind=st.sampled_from([Kind.DIRECTORY, Kind.FIFO]), **PLAIN),
    st.builds(Entry, kind=st.sampled_from([Kind.SYMLINK, Kind.HARDLINK]), **{**PLAIN, "link": PATH}),
    st.builds(Entry, kind=st.sampled_from([Kind.CHARACTER, Kind.BLOCK]), **{**PLAIN, **DEVICE}),
)


@given(st.lists(ENTRIES, max_size=5))
def test_reading_is_the_inverse_of_packing(entries: list[Entry]) -> None:
    assert [each._replace(offset=0) for each in entries_of(*entries)] == entries


@given(st.lists(st.tuples(PATH, st.binary(max_size=2000)), max_size=5))
def test_contents_come_back_from_where_the_reader_finds_them(files: list[tuple[bytes, bytes]]) -> None:
    data, _ = packed([member(FILE._replace(path=path), content) for path, content in files])

    found = [(each.path, data[each.offset : each.offset + each.size]) for each in read_entries(Bytes(data))]
    assert found == files
