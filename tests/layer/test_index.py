import os
import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures.images.entries import Entry, directory, file, hardlink, make_tar, symlink
from fixtures.observed import observe_index
from fixtures.raw_tar import END, MemoryTar, RawHeader, pax_member
from layerstore.errors import InvalidInput, LimitExceeded, LstoreError, NotFound, StoreDamaged
from layerstore.layer.changes import ChangeTable, Facts, StoredChanges
from layerstore.layer.entry import Entry as LayerEntry
from layerstore.layer.entry import Kind
from layerstore.layer.erofs import Device, write_index
from layerstore.layer.index import Extent, IndexReader
from layerstore.layer.layer_index import read_layer_changes, write_layer_index
from layerstore.layer.tree import Tree

UUID = bytes(range(16))
TAR = make_tar(
    [
        directory("usr/lib"),
        file("usr/lib/libc.so", b"l" * 1000),
        symlink("lib", "usr/lib"),
        symlink("up", "../../../usr"),
        symlink("loop", "loop"),
        symlink("far", "x" * 900),
        hardlink("libc", "usr/lib/libc.so"),
        Entry("empty", xattrs={"user.a": b"1", "security.capability": b"\1\0\0\2"}),
    ]
)


@pytest.fixture
def index(tmp_path: Path) -> bytes:
    """The index of `TAR`."""
    return index_of(TAR, tmp_path)


def index_of(tar: bytes, directory: Path) -> bytes:
    path = directory / "index"
    path.unlink(missing_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        write_layer_index(MemoryTar(tar), fd, lambda: UUID)
    finally:
        os.close(fd)
    return path.read_bytes()


def test_files_are_found_inside_the_root_through_symlinks(index: bytes) -> None:
    reader = IndexReader(index)

    libc = reader.find(b"usr/lib/libc.so")
    same = [
        reader.find(path)
        for path in (b"/lib/libc.so", b"up/lib/./libc.so", b"../../lib/../lib/libc.so", b"libc")
    ]

    assert [inode.nid for inode in same] == [libc.nid] * 4
    assert (libc.links, libc.size, libc.kind) == (2, 1000, Kind.REGULAR)


def test_a_last_symlink_is_followed_only_on_demand(index: bytes) -> None:
    reader = IndexReader(index)

    assert reader.find(b"lib").kind is Kind.DIRECTORY
    assert reader.find(b"lib", follow=False).kind is Kind.SYMLINK
    assert reader.find(b"lib/", follow=False).kind is Kind.SYMLINK
    assert reader.target(reader.find(b"far", follow=False)) == b"x" * 900


def test_content_is_an_extent_of_the_tar(index: bytes) -> None:
    reader = IndexReader(index)

    layer, offset, length = reader.extent(reader.find(b"libc"))

    assert layer == 0
    assert TAR[offset : offset + length] == b"l" * 1000
    assert reader.extent(reader.find(b"empty")) == Extent(None, 0, 0)


def test_sparse_content_is_an_extent_of_the_index(tmp_path: Path) -> None:
    records = ((b"GNU.sparse.map", b"512,4,2000,3"), (b"GNU.sparse.size", b"5000"))
    index = index_of(pax_member(*records) + RawHeader(name=b"f").member(b"dataend") + END, tmp_path)
    reader = IndexReader(index)

    layer, offset, length = reader.extent(reader.find(b"f"))

    content = index[offset : offset + length]
    assert layer is None
    assert content == bytes(512) + b"data" + bytes(1484) + b"end" + bytes(2997)


def test_a_huge_hole_takes_no_space(tmp_path: Path) -> None:
    records = ((b"GNU.sparse.map", b"0,4"), (b"GNU.sparse.size", b"%d" % (1 << 36)))
    tar = pax_member(*records) + RawHeader(name=b"f").member(b"data") + END
    fd = os.open(tmp_path / "index", os.O_RDWR | os.O_CREAT)

    write_layer_index(MemoryTar(tar), fd, lambda: UUID)

    assert os.fstat(fd).st_blocks * 512 < 1 << 20
    assert [change.path for change in read_layer_changes(fd)] == [b"f"]
    os.close(fd)


def test_directories_list_their_names_in_byte_order(tmp_path: Path) -> None:
    names = ["!x", "+x", ".hidden", "..double", "a", *(f"long-name-{n:03}" * 5 for n in range(300))]
    reader = IndexReader(index_of(make_tar([file(name) for name in reversed(names)]), tmp_path))

    assert [name.decode() for name, _ in reader.children(reader.root)] == sorted(names)


def test_attributes_read_back(index: bytes) -> None:
    reader = IndexReader(index)

    assert reader.xattrs(reader.find(b"empty")) == {b"user.a": b"1", b"security.capability": b"\1\0\0\2"}
    assert reader.xattrs(reader.root) == {}


@pytest.mark.parametrize("path", [b"missing", b"usr/missing/x", b"libc/x"])
def test_what_is_not_there_is_not_found(index: bytes, path: bytes) -> None:
    with pytest.raises(NotFound):
        IndexReader(index).find(path)


def test_a_symlink_loop_and_listing_a_file_are_refused(index: bytes) -> None:
    reader = IndexReader(index)

    with pytest.raises(InvalidInput, match="symlinks"):
        reader.find(b"loop/x")
    with pytest.raises(InvalidInput):
        list(reader.children(reader.find(b"libc")))


def test_equal_layers_give_equal_bytes(index: bytes, tmp_path: Path) -> None:
    assert index_of(TAR, tmp_path) == index


def test_the_table_behind_the_image_gives_the_changes_back(tmp_path: Path, index: bytes) -> None:
    with open(tmp_path / "index", "rb") as opened:
        changes = list(read_layer_changes(opened.fileno()))

    assert [change.path for change in changes[:3]] == [b"usr/lib", b"usr/lib/libc.so", b"lib"]
    assert changes[-1].xattrs == {b"user.a": b"1", b"security.capability": b"\1\0\0\2"}


byte_names = st.binary(min_size=1, max_size=20).filter(lambda name: b"\0" not in name)
layer_entries = st.builds(
    LayerEntry,
    path=byte_names,
    kind=st.sampled_from(Kind),
    mode=st.integers(0, 0o7777),
    uid=st.integers(0, 2**32 - 2),
    gid=st.integers(0, 2**32 - 2),
    mtime=st.integers(-(2**62), 2**62),
    nsec=st.integers(0, 10**9 - 1),
    size=st.integers(0, 2**41),
    offset=st.integers(0, 2**41),
    link=byte_names | st.just(b""),
    major=st.integers(0, 4095),
    minor=st.integers(0, 2**20 - 1),
    xattrs=st.dictionaries(byte_names, st.binary(max_size=30), max_size=3),
    sparse=st.none()
    | st.lists(st.tuples(st.integers(0, 2**40), st.integers(0, 2**40)), max_size=3).map(tuple),
)


@given(st.lists(layer_entries, max_size=6))
def test_a_table_gives_back_what_was_put_in(changes: list[LayerEntry]) -> None:
    table = ChangeTable()
    for change in changes:
        table.add(change)

    found = list(
        StoredChanges(
            MemoryTar(
                b"".join(table.encode(Facts(len(changes), 1024, stands_alone=True, is_stackable=False)))
            ),
            0,
        )
    )

    assert found == changes


def test_names_and_attributes_without_end_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("layerstore.layer.changes.MAX_TABLE_SIZE", 10_000)
    table = ChangeTable()

    with pytest.raises(LimitExceeded):
        list(map(table.add, [LayerEntry(b"a" * 200, Kind.REGULAR)] * 100))


def test_an_index_never_points_outside_its_tars(tmp_path: Path) -> None:
    tree = Tree()
    tree.apply([LayerEntry(b"f", Kind.REGULAR, size=600, offset=512)])
    fd = os.open(tmp_path / "index", os.O_RDWR | os.O_CREAT)

    with pytest.raises(StoreDamaged):
        write_index(tree, [Device(MemoryTar(bytes(1024)), 1024)], fd, UUID)

    os.close(fd)


def test_more_than_two_tebibytes_are_refused(tmp_path: Path) -> None:
    fd = os.open(tmp_path / "index", os.O_RDWR | os.O_CREAT)

    with pytest.raises(LimitExceeded):
        write_index(Tree(), [Device(MemoryTar(b""), 1 << 41)], fd, UUID)

    os.close(fd)


@pytest.mark.parametrize(
    "damage", [lambda data: b"", lambda data: data[:1100], lambda data: bytes(len(data))]
)
def test_what_is_no_index_is_called_damaged(index: bytes, damage: Callable[[bytes], bytes]) -> None:
    with pytest.raises(StoreDamaged):
        IndexReader(damage(index))


@settings(max_examples=200)
@given(seed=st.integers(0, 2**32), cut=st.booleans())
def test_a_damaged_index_is_an_error_or_reads_inside_itself(
    tmp_path_factory: pytest.TempPathFactory, seed: int, cut: bool
) -> None:
    noise = random.Random(seed)
    damaged = bytearray(index_of(TAR, tmp_path_factory.getbasetemp()))
    for _ in range(noise.randrange(1, 30)):
        damaged[noise.randrange(1152, len(damaged))] = noise.randrange(256)
    if cut:
        del damaged[noise.randrange(1152, len(damaged)) :]

    with suppress(LstoreError):
        reader = IndexReader(bytes(damaged))
        for name, inode in reader.children(reader.root):
            reader.find(name + b"/lib/x")
            reader.xattrs(inode)
            reader.extent(inode)


@given(seed=st.integers(0, 2**32))
def test_a_damaged_table_is_noticed(seed: int) -> None:
    noise = random.Random(seed)
    table = ChangeTable()
    for number in range(20):
        table.add(LayerEntry(b"f%d" % number, Kind.REGULAR, xattrs={b"user.a": b"b"}))
    damaged = bytearray(b"".join(table.encode(Facts(20, 512, stands_alone=True, is_stackable=True))))
    damaged[noise.randrange(len(damaged))] ^= 1 << noise.randrange(8)

    with pytest.raises(StoreDamaged):
        list(StoredChanges(MemoryTar(bytes(damaged)), 0))


def test_observing_an_index_sees_every_file(index: bytes) -> None:
    assert len(observe_index(index, [TAR])) == 10
