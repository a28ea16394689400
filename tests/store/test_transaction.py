"""A transaction is a target: what was copied into it appears together, or leaves only work to resume."""

import os

import pytest

from fixtures.memory import MemoryTarget
from fixtures.store import add_image, add_index, contents, store_image
from layerstore.content import children, read_document, read_manifest
from layerstore.copy import copy
from layerstore.errors import Conflict, NotFound
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
