"""A transaction is a target: what was copied into it appears together, or leaves only work to resume."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from fixtures.memory import MemoryTarget
from fixtures.store import add_image, add_index, contents, store_image
from layerstore.content import children, read_document, read_manifest
from layerstore.copy import copy
from layerstore.errors import Conflict, ContentMismatch, NoSpace, NotFound, StorageError
from layerstore.oci import mediatype
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.reference import Reference
from layerstore.store.refs import Ref
from layerstore.store.store import Store


def test_a_committed_image_is_found_by_name_and_reads_back(store: Store) -> None:
    source = MemoryTarget()
    root = add_image(source, [b"one", b"two"])

    store_image(store, source, root, "debian")

    assert store.blobs.resolve("docker.io/library/debian:latest") == root
    for child in children(read_manifest(store.blobs, root)):
        assert read_document(store.blobs, child) == source.blobs[child.digest]


def test_nothing_is_visible_before_the_commit(store: Store) -> None:
    source = MemoryTarget()
    root = add_image(source, [b"one"])

    with store.transaction() as transaction:
        copy(source, transaction, root)
        transaction.set_ref(Ref(Reference.parse("debian"), root))

        assert not store.blobs.has(root)
        with pytest.raises(NotFound):
            store.blobs.resolve("debian")


def test_a_commit_leaves_blobs_and_the_index_and_nothing_else(store: Store) -> None:
    before = contents(store.layout.root)
    source = MemoryTarget()
    root = add_image(source, [b"one", b"two"])

    store_image(store, source, root, "debian")

    assert contents(store.layout.root) - before == {
        f"content/blobs/sha256/{digest.encoded}" for digest in source.blobs
    }


def test_a_second_copy_fetches_nothing_and_changes_nothing(store: Store) -> None:
    source = MemoryTarget()
    root = add_image(source, [b"one"])
    store_image(store, source, root, "debian")
    source.fetched.clear()
    before = os.stat(store.layout.index)

    store_image(store, source, root, "debian")

    assert source.fetched == []
    assert os.stat(store.layout.index).st_ino == before.st_ino


def test_a_transaction_reads_its_own_content_before_and_after_the_commit(store: Store) -> None:
    source = MemoryTarget()
    root = add_image(source, [b"one"])

    with store.transaction() as transaction:
        copy(source, transaction, root)
        layer = children(read_manifest(transaction, root))[1]

        assert read_document(transaction, layer) == b"one"
        transaction.commit()
        assert read_document(transaction, layer) == b"one"


def test_a_ref_to_what_is_not_there_whole_is_refused(store: Store) -> None:
    source = MemoryTarget()
    image = add_image(source, [b"one"])
    root = add_index(source, [image])

    with store.transaction() as transaction:
        copy(source, transaction, root, select=lambda _: ())
        transaction.set_ref(Ref(Reference.parse("debian"), root))

        with pytest.raises(Conflict):
            transaction.commit()

    assert store.refs.read().refs == ()


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: b""])
def test_a_blob_that_lost_bytes_counts_as_missing_and_is_replaced(
    store: Store, damage: Callable[[bytes], bytes]
) -> None:
    source = MemoryTarget()
    root = add_image(source, [b"one"])
    store_image(store, source, root, "debian")
    for child in (root, *children(read_manifest(store.blobs, root))):
        path = Path(store.layout.blob(child.digest))
        whole = path.read_bytes()
        path.write_bytes(damage(whole))
        assert not store.blobs.has_graph(root)

        store_image(store, source, root, "debian")

        assert path.read_bytes() == whole


def test_a_manifest_with_other_bytes_of_the_same_size_is_replaced(store: Store) -> None:
    source = MemoryTarget()
    root = add_image(source, [b"one"])
    store_image(store, source, root, "debian")
    path = Path(store.layout.blob(root.digest))
    path.write_bytes(b"x" * root.size)

    store_image(store, source, root, "debian")

    assert path.read_bytes() == source.blobs[root.digest]


def test_a_commit_leaves_work_alone_that_began_after_its_own_was_discarded(store: Store) -> None:
    source = MemoryTarget()
    layer = source.add(mediatype.OCI_LAYER, b"one")
    newer = Path(store.layout.ingest(layer.digest), "newer")

    with store.transaction() as first, store.transaction() as second:
        first.push(layer, partial(source.fetch, layer))
        second.push(layer, partial(source.fetch, layer))
        first.commit()
        newer.parent.mkdir()
        newer.touch()
        second.commit()

    assert newer.exists()


def test_errors_of_the_file_system_come_as_our_own(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    source = MemoryTarget()
    layer = source.add(mediatype.OCI_LAYER, b"one")

    def refuse(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    with store.transaction() as transaction:
        monkeypatch.setattr(os, "mkdir", refuse)
        with pytest.raises(StorageError, match="cannot write blob"):
            transaction.push(layer, partial(source.fetch, layer))
        monkeypatch.undo()
        transaction.push(layer, partial(source.fetch, layer))
        monkeypatch.setattr(os, "rename", refuse)
        with pytest.raises(StorageError, match="cannot commit"):
            transaction.commit()
        monkeypatch.undo()

    assert store.refs.read().refs == ()


def test_a_failed_commit_leaves_no_temporary_files(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    source = MemoryTarget()
    root = add_image(source, [b"one"])
    rename = os.rename

    def refuse_manifest(origin: str, destination: str) -> None:
        if destination == store.layout.blob(root.digest):
            raise OSError(28, "No space left on device")
        rename(origin, destination)

    monkeypatch.setattr(os, "rename", refuse_manifest)
    with pytest.raises(NoSpace):
        store_image(store, source, root, "debian")

    assert not [path for path in contents(store.layout.root) if ".tmp-" in path]


def test_a_transaction_leaves_no_descriptor_open_whatever_happens(store: Store) -> None:
    source = MemoryTarget()
    root = add_image(source, [b"one", b"two"])
    broken = add_image(source, [b"three", b"lost"])
    del source.blobs[Descriptor.of(mediatype.OCI_LAYER, b"lost").digest]
    store_image(store, source, root, "debian")
    before = os.listdir("/proc/self/fd")

    store_image(store, source, root, "debian")
    with pytest.raises(NotFound):
        store_image(store, source, broken, "broken")

    assert os.listdir("/proc/self/fd") == before


def test_pushing_the_same_content_again_does_nothing(store: Store) -> None:
    source = MemoryTarget()
    layer = source.add(mediatype.OCI_LAYER, b"one")
    before = os.listdir("/proc/self/fd")

    with store.transaction() as transaction:
        for _ in range(3):
            transaction.push(layer, partial(source.fetch, layer))
        transaction.commit()

    assert source.fetched == [layer]
    assert os.listdir("/proc/self/fd") == before


def test_content_by_its_right_digest_and_a_wrong_size_is_refused(store: Store) -> None:
    source = MemoryTarget()
    layer = source.add(mediatype.OCI_LAYER, b"one")
    wrong = Descriptor(layer.media_type, layer.digest, 4)

    with store.transaction() as first, store.transaction() as second:
        first.push(layer, partial(source.fetch, layer))

        for transaction in (first, second):
            with pytest.raises(ContentMismatch):
                transaction.push(wrong, partial(source.fetch, wrong))
        first.commit()

    assert not store.blobs.has(wrong)
    assert store.blobs.has(layer)
