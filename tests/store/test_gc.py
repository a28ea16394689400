"""A collection takes what nothing needs, and nothing else, whoever is at work beside it."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from fixtures.crash.scenarios import keep_tars
from fixtures.images.layout import ARM64
from fixtures.memory import MemoryTarget
from fixtures.store import add_image, add_index, contents, store_image
from layerstore.content import Readable, children, opened_bytes, read_document, read_manifest
from layerstore.copy import copy
from layerstore.oci import mediatype
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.digest import Digest
from layerstore.oci.reference import Reference
from layerstore.store.gc import Plan, mark, plan_collection
from layerstore.store.refs import Ref
from layerstore.store.staging import staged
from layerstore.store.store import Store


def collect(store: Store, *, with_ingests: bool = True) -> Plan:
    with store.locked():
        plan = plan_collection(store, mark(store), with_ingests=with_ingests)
        plan.execute()
    return plan


def forget(store: Store, name: str) -> None:
    store.update_refs(lambda table: table.without(lambda ref: ref.name == Reference.parse(name)))


def test_what_only_a_forgotten_image_needed_goes_and_what_others_share_stays(store: Store) -> None:
    source = MemoryTarget()
    kept, gone = add_image(source, [b"base", b"kept"]), add_image(source, [b"base", b"gone"])
    store_image(store, source, kept, "kept", keep_tars)
    before = contents(store.layout.root)
    store_image(store, source, gone, "gone", keep_tars)
    forget(store, "gone")

    plan = collect(store)

    assert contents(store.layout.root) == before
    assert len(plan.manifests) == 1
    assert len(plan.blobs) == 2
    assert plan.layers == (store.layers.path(Digest.of(b"gone")),)


def test_an_empty_store_is_left_when_all_is_forgotten(store: Store) -> None:
    before = contents(store.layout.root)
    source = MemoryTarget()
    image = add_image(source, [b"one"])
    store_image(store, source, add_index(source, [image]), "all", keep_tars)
    forget(store, "all")

    plan = collect(store)

    assert contents(store.layout.root) == before
    assert plan.usage.inodes > 0


def test_indexes_go_before_their_manifests(store: Store) -> None:
    source = MemoryTarget()
    index = add_index(source, [add_image(source, [b"1"]), add_image(source, [b"2"], platform=ARM64)])
    store_image(store, source, index, "all")
    forget(store, "all")

    with store.locked():
        plan = plan_collection(store, mark(store), with_ingests=False)

    assert plan.manifests[0] == store.layout.blob(index.digest)
    assert len(plan.manifests) == 3


def test_a_plan_says_what_it_would_remove_and_removes_nothing_by_itself(store: Store) -> None:
    source = MemoryTarget()
    store_image(store, source, add_image(source, [b"one"]), "one")
    forget(store, "one")
    before = contents(store.layout.root)

    with store.locked():
        plan = plan_collection(store, mark(store), with_ingests=False)

    assert f"blob {store.layout.blob(Digest.of(b'one'))}" in str(plan).splitlines()
    assert str(plan)
    assert contents(store.layout.root) == before


def test_content_that_a_transaction_found_stays_until_it_ends(store: Store) -> None:
    source = MemoryTarget()
    root = add_image(source, [b"one"])
    store_image(store, source, root, "old")

    with store.transaction() as transaction:
        copy(source, transaction, root)
        forget(store, "old")
        collect(store)
        transaction.set_ref(Ref(Reference.parse("new"), root))
        transaction.commit()

    assert read_document(store.blobs, Descriptor.of(mediatype.OCI_LAYER, b"one")) == b"one"


def test_content_that_is_held_stays_until_it_is_let_go(store: Store) -> None:
    source = MemoryTarget()
    root = add_image(source, [b"one"])
    store_image(store, source, root, "one", keep_tars)

    with store.holding(root):
        forget(store, "one")
        held = collect(store)
    after = collect(store)

    assert str(held) == ""
    assert str(after)


def test_a_blob_that_is_being_downloaded_is_left_alone(store: Store) -> None:
    descriptor = Descriptor.of(mediatype.OCI_LAYER, b"one")
    plans = []

    @contextmanager
    def collecting(offset: int) -> Iterator[Readable]:
        plans.append(collect(store))
        with opened_bytes(b"one", offset) as stream:
            yield stream

    with store.transaction(keep_tars) as transaction:
        transaction.push(descriptor, collecting)
        plans.append(collect(store))
        transaction.commit()

    assert not any(map(str, plans))
    assert store.blobs.has(descriptor)


def test_a_layer_that_is_gone_by_the_time_its_adopter_commits_does_no_harm(store: Store) -> None:
    source = MemoryTarget()
    root = add_image(source, [b"one"])

    with store.transaction(keep_tars) as late:
        with store.transaction(keep_tars) as first:
            copy(source, first, root)
            copy(source, late, root)
            first.set_ref(Ref(Reference.parse("first"), root))
            first.commit()
        forget(store, "first")
        with store.locked():
            store.layers.remove(store.layers.names())
        late.set_ref(Ref(Reference.parse("late"), root))
        late.commit()

    assert store.blobs.has_graph(root)


def test_broken_off_work_stays_to_be_resumed_unless_it_is_asked_away(store: Store) -> None:
    with store.transaction() as transaction:
        transaction.push(Descriptor.of(mediatype.OCI_LAYER, b"one"), partial(opened_bytes, b"one"))

    kept = collect(store, with_ingests=False)
    removed = collect(store, with_ingests=True)

    assert str(kept) == ""
    assert len(removed.ingests) == 1
    assert os.listdir(store.layout.ingests) == []


def test_work_that_somebody_resumes_while_the_collection_runs_is_left_alone(store: Store) -> None:
    descriptor = Descriptor.of(mediatype.OCI_LAYER, b"one")
    with store.transaction() as transaction:
        transaction.push(descriptor, partial(opened_bytes, b"one"))
    with store.locked():
        plan = plan_collection(store, mark(store), with_ingests=True)
    assert len(plan.ingests) == 1

    with store.transaction() as transaction:
        transaction.push(descriptor, partial(opened_bytes, b""))
        plan.execute()
        transaction.commit()

    assert store.blobs.has(descriptor)


def test_leavings_of_killed_processes_go(store: Store) -> None:
    before = contents(store.layout.root)
    for place in (store.layout.root, store.layout.content, store.layout.blobs("sha256"), store.layout.layers):
        Path(place, ".tmp-left.0a").write_bytes(b"left")
    Path(store.layout.layers, ".tmp-tree.0b", "deep").mkdir(parents=True)
    Path(store.layout.ingests, ".tmp-work.0c").mkdir()
    Path(store.layout.ingests, "staging-0d").mkdir()
    Path(store.layout.leases, "1-0e").write_bytes(b"")

    collect(store, with_ingests=False)

    assert contents(store.layout.root) == before


def test_a_staging_directory_in_use_is_left_alone(store: Store) -> None:
    with staged(store.layout) as made:
        plan = collect(store)

        assert os.path.isdir(made)
    assert str(plan) == ""
    assert os.listdir(store.layout.ingests) == []


def test_staging_beside_a_busy_collection_always_gets_its_directory(store: Store) -> None:
    is_over = threading.Event()

    def keep_collecting() -> None:
        while not is_over.is_set():
            collect(store)

    collector = threading.Thread(target=keep_collecting)
    collector.start()
    try:
        for _ in range(100):
            with staged(store.layout) as made:
                assert os.path.isdir(made)
    finally:
        is_over.set()
        collector.join()


def test_no_content_goes_while_a_live_manifest_cannot_be_read_but_leavings_do(store: Store) -> None:
    source = MemoryTarget()
    damaged, gone = add_image(source, [b"damaged"]), add_image(source, [b"gone"])
    store_image(store, source, damaged, "damaged")
    store_image(store, source, gone, "gone")
    Path(store.layout.blob(damaged.digest)).write_bytes(b"x" * damaged.size)
    Path(store.layout.content, ".tmp-left.0a").write_bytes(b"left")
    forget(store, "gone")

    plan = collect(store)

    assert plan.damage
    assert plan.blobs == plan.manifests == plan.layers == ()
    assert len(plan.strays) == 1
    assert store.blobs.has_graph(gone)


def test_an_image_with_a_damaged_manifest_can_be_forgotten_and_collected(store: Store) -> None:
    before = contents(store.layout.root)
    source = MemoryTarget()
    damaged = add_image(source, [b"damaged"])
    store_image(store, source, damaged, "damaged")
    Path(store.layout.blob(damaged.digest)).write_bytes(b"x" * damaged.size)
    forget(store, "damaged")

    collect(store)

    assert contents(store.layout.root) == before


def test_what_containers_stand_on_stays(store: Store) -> None:
    source = MemoryTarget()
    root = add_image(source, [b"one"])
    store_image(store, source, root, "one", keep_tars)
    other = add_image(source, [b"two"])
    store_image(store, source, other, "two", keep_tars)
    forget(store, "one")
    forget(store, "two")

    with store.locked():
        marked = mark(store, held_layers=[Digest.of(b"two")], held=[root])
        plan_collection(store, marked, with_ingests=True).execute()

    assert store.blobs.has_graph(root)
    assert not store.blobs.has(other)
    assert set(store.layers.names()) == {Digest.of(b"one"), Digest.of(b"two")}


def test_stacks_are_those_of_the_images_that_stay(store: Store) -> None:
    source = MemoryTarget()
    root = add_image(source, [b"one", b"two"])
    store_image(store, source, root, "one")

    with store.locked():
        marked = mark(store)

    assert marked.stacks == {(Digest.of(b"one"), Digest.of(b"two"))}
    assert set(marked.blobs) == {root.digest} | {
        child.digest for child in children(read_manifest(store.blobs, root))
    }
