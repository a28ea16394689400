"""Layers of our own: equal changes, equal bytes, and a transaction that takes them as they are."""

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from layerstore.content import opened_bytes
from layerstore.layer.entry import Entry, Kind
from layerstore.layer.ingest import LARGE
from layerstore.layer.layer_index import read_layer_changes
from layerstore.layer.pack import Member, pack
from layerstore.oci import mediatype
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.document import dump
from layerstore.oci.manifest import build_manifest
from layerstore.oci.platform import Platform
from layerstore.snapshot.commit import NewLayer, adopt, commit_changes, write_layer
from layerstore.snapshot.verify import verify_layer
from layerstore.store.fsck import check
from layerstore.store.refs import Ref
from layerstore.store.store import Store, open_store

PLATFORM = Platform("linux", "amd64")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"), PLATFORM)


@pytest.fixture
def made(store: Store) -> Path:
    path = Path(store.layout.root, "made")
    path.mkdir()
    return path


def small_members() -> Iterator[Member]:
    yield Member(Entry(b"d", Kind.DIRECTORY, 0o755, mtime=500))
    yield Member(Entry(b"d/f", Kind.REGULAR, 0o644, mtime=2000, size=4), partial(read, b"data"))
    yield Member(Entry(b"gone", Kind.WHITEOUT))


def read(content: bytes, offset: int, size: int) -> bytes:
    return content[offset : offset + size]


def test_a_layer_is_the_tar_that_its_members_pack_to(made: Path) -> None:
    packed: list[bytes] = []
    expected = pack(small_members(), packed.append)

    layer = write_layer(small_members(), str(made))

    assert layer == NewLayer(expected.diff_id, expected.size)
    assert (made / "blob").read_bytes() == b"".join(packed)
    assert os.path.samefile(made / "blob", made / "layer" / "tar")
    assert verify_layer(expected.diff_id, str(made / "layer"))


@pytest.mark.parametrize(("count", "size"), [(3, LARGE), (1500, 700)], ids=["large files", "many files"])
def test_a_large_layer_is_indexed_while_it_is_written_to_the_same_bytes(
    tmp_path: Path, count: int, size: int
) -> None:
    content = os.urandom(size)
    entries = [Entry(b"f%d" % number, Kind.REGULAR, 0o644, size=size) for number in range(count)]
    (tmp_path / "made").mkdir()

    layer = write_layer((Member(each, partial(read, content)) for each in entries), str(tmp_path / "made"))

    assert layer is not None
    assert verify_layer(layer.diff_id, str(tmp_path / "made" / "layer"))


def test_no_members_make_no_layer_and_no_file(made: Path) -> None:
    assert write_layer(iter(()), str(made)) is None

    assert os.listdir(made) == []


def test_times_are_clamped(made: Path) -> None:
    write_layer(small_members(), str(made), clamp=1000)

    fd = os.open(made / "layer" / "index", os.O_RDONLY)
    changes = list(read_layer_changes(fd))
    os.close(fd)
    assert [change.mtime for change in changes if change.kind is not Kind.WHITEOUT] == [500, 1000]


def test_a_transaction_adopts_a_layer_as_it_is(store: Store, made: Path) -> None:
    layer = write_layer(small_members(), str(made))
    assert layer is not None
    inode = os.stat(made / "blob").st_ino
    config = dump({**PLATFORM.to_json(), "rootfs": {"type": "layers", "diff_ids": [str(layer.diff_id)]}})
    manifest = build_manifest(Descriptor.of(mediatype.OCI_CONFIG, config), (layer.descriptor,))

    with store.transaction() as transaction:
        adopt(transaction, layer, str(made))
        transaction.push(manifest.config, partial(opened_bytes, config))
        transaction.push(manifest.descriptor, partial(opened_bytes, manifest.raw))
        transaction.set_ref(Ref(None, manifest.descriptor))
        transaction.commit()

    assert os.stat(store.layout.blob(layer.diff_id)).st_ino == inode
    assert store.layers.has(layer.diff_id)
    assert check(store, verify_layer) == ()


def test_a_layer_that_is_there_is_adopted_without_harm(store: Store, tmp_path: Path) -> None:
    layers = []
    for name in ("one", "two"):
        directory = Path(store.layout.root, name)
        directory.mkdir()
        layer = write_layer(small_members(), str(directory))
        assert layer is not None
        with store.transaction() as transaction:
            adopt(transaction, layer, str(directory))
            transaction.commit()
        layers.append(layer)

    assert layers[0] == layers[1]
    assert store.layers.names() == (layers[0].diff_id,)


@pytest.mark.root
def test_the_changes_of_an_upper_directory_become_a_layer(tmp_path: Path, made: Path) -> None:
    upper, lower = tmp_path / "upper", tmp_path / "lower"
    for path in (upper, lower):
        path.mkdir()
    (lower / "kept").write_text("kept")
    (upper / "new").write_text("new")
    os.mknod(upper / "kept", 0o020000, 0)
    fds = [os.open(path, os.O_RDONLY) for path in (upper, lower)]

    layer = commit_changes(*fds, str(made), userxattr=False, restored=lambda entry: entry._replace(uid=7))

    assert layer is not None
    index = os.open(made / "layer" / "index", os.O_RDONLY)
    found = {change.path: (change.kind, change.uid) for change in read_layer_changes(index)}
    for fd in (*fds, index):
        os.close(fd)
    assert found[b"new"] == (Kind.REGULAR, 7)
    assert found[b"kept"][0] is Kind.WHITEOUT
