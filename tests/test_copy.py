"""The graph copy: children first, each piece once, and no parent without its children."""

import threading
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures.memory import MemoryTarget
from layerstore import copy as copy_module
from layerstore.content import Opener, children, read_manifest
from layerstore.copy import copy
from layerstore.errors import ContentMismatch, InvalidDocument, LimitExceeded, NotFound
from layerstore.oci import mediatype
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.manifest import Index, Manifest, build_index, build_manifest
from layerstore.tasks import Cancellation


def add_image(source: MemoryTarget, layers: Iterable[bytes], config: bytes = b"{}") -> Descriptor:
    parts = [source.add(mediatype.OCI_LAYER, layer) for layer in layers]
    manifest = build_manifest(source.add(mediatype.OCI_CONFIG, config), tuple(parts))
    source.put(manifest.descriptor, manifest.raw)
    return manifest.descriptor


def add_index(source: MemoryTarget, manifests: Iterable[Descriptor]) -> Descriptor:
    index = build_index(tuple(manifests))
    source.put(index.descriptor, index.raw)
    return index.descriptor


def assert_closed(target: MemoryTarget, source: MemoryTarget) -> None:
    """Whatever the target holds, it holds whole."""
    for descriptor in target.pushed:
        if mediatype.is_manifest(descriptor.media_type) or mediatype.is_index(descriptor.media_type):
            for child in children(read_manifest(source, descriptor)):
                assert target.has(child)


def test_a_whole_index_arrives_children_before_parents() -> None:
    source, target = MemoryTarget(), MemoryTarget()
    images = [
        add_image(source, [b"base", str(each).encode()], config=b'{"n":%d}' % each) for each in range(3)
    ]
    root = add_index(source, [add_index(source, images[:2]), images[2]])

    copy(source, target, root)

    assert target.blobs == source.blobs
    assert target.pushed[-1] == root
    order = {descriptor: position for position, descriptor in enumerate(target.pushed)}
    for parent in images:
        assert all(order[child] < order[parent] for child in children(read_manifest(source, parent)))


def test_each_piece_moves_once_however_often_it_is_named() -> None:
    source, target = MemoryTarget(), MemoryTarget()
    shared = add_image(source, [b"base", b"base"])
    other = add_image(source, [b"base"])
    root = add_index(source, [shared, shared, other])

    copy(source, target, root)

    assert len(target.pushed) == len(set(target.pushed))
    assert len(source.fetched) == len(set(source.fetched))


def test_one_blob_under_two_media_types_moves_once() -> None:
    source, target = MemoryTarget(), MemoryTarget()
    oci = source.add(mediatype.OCI_LAYER, b"same")
    docker = source.add(mediatype.DOCKER_LAYER, b"same")
    manifest = build_manifest(source.add(mediatype.OCI_CONFIG, b"{}"), (oci, docker))
    source.put(manifest.descriptor, manifest.raw)

    copy(source, target, manifest.descriptor)

    assert [each.digest for each in source.fetched].count(oci.digest) == 1


def test_what_the_target_has_is_neither_fetched_nor_looked_into() -> None:
    source, target = MemoryTarget(), MemoryTarget()
    root = add_image(source, [b"base", b"new"])
    copy(source, target, add_image(source, [b"base"], config=b'{"old":1}'))
    source.fetched.clear()

    copy(source, target, root)
    first = list(source.fetched)
    copy(source, target, root)

    assert Descriptor.of(mediatype.OCI_LAYER, b"base") not in first
    assert source.fetched == first


def test_only_selected_children_are_followed() -> None:
    source, target = MemoryTarget(), MemoryTarget()
    wanted, other = add_image(source, [b"1"]), add_image(source, [b"2"])
    root = add_index(source, [wanted, other])

    def select(node: Manifest | Index) -> tuple[Descriptor, ...]:
        return (wanted,) if isinstance(node, Index) else children(node)

    copy(source, target, root, select=select)

    assert target.has(wanted)
    assert target.has(root)
    assert not target.has(other)


def test_no_more_than_the_asked_for_number_of_blobs_are_under_way() -> None:
    meeting = threading.Barrier(3)
    lock = threading.Lock()

    class Counting(MemoryTarget):
        running = most = 0

        def push(self, descriptor: Descriptor, opener: Opener) -> None:
            if mediatype.is_layer(descriptor.media_type):
                with lock:
                    self.running += 1
                    self.most = max(self.most, self.running)
                meeting.wait(30)
                with lock:
                    self.running -= 1
            super().push(descriptor, opener)

    source, target = MemoryTarget(), Counting()
    manifest = build_manifest(
        source.add(mediatype.OCI_EMPTY, b"{}"),
        tuple(source.add(mediatype.OCI_LAYER, b"%d" % each) for each in range(9)),
    )
    source.put(manifest.descriptor, manifest.raw)
    target.add(mediatype.OCI_EMPTY, b"{}")

    copy(source, target, manifest.descriptor, parallel=3)

    assert target.most == 3


def test_a_missing_layer_leaves_no_parent() -> None:
    source, target = MemoryTarget(), MemoryTarget()
    broken = add_image(source, [b"here", b"gone"])
    del source.blobs[Descriptor.of(mediatype.OCI_LAYER, b"gone").digest]
    root = add_index(source, [broken])

    with pytest.raises(NotFound):
        copy(source, target, root)

    assert not target.has(broken)
    assert not target.has(root)


def test_a_corrupt_layer_leaves_no_parent() -> None:
    source, target = MemoryTarget(), MemoryTarget()
    root = add_image(source, [b"layer"])
    source.put(Descriptor.of(mediatype.OCI_LAYER, b"layer"), b"LAYER")

    with pytest.raises(ContentMismatch):
        copy(source, target, root)

    assert not target.has(root)


def test_a_corrupt_manifest_stops_the_copy_before_anything_moves() -> None:
    source, target = MemoryTarget(), MemoryTarget()
    good = add_image(source, [b"layer"])
    bad = source.add(mediatype.OCI_MANIFEST, b"{}")
    root = add_index(source, [good, bad])

    with pytest.raises(InvalidDocument):
        copy(source, target, root)

    assert target.pushed == []


def test_a_tower_of_indexes_is_refused() -> None:
    source, target = MemoryTarget(), MemoryTarget()
    root = add_image(source, [b"layer"])
    for _ in range(copy_module.MAX_DEPTH + 1):
        root = add_index(source, [root])

    with pytest.raises(LimitExceeded):
        copy(source, target, root)

    assert target.pushed == []


def test_a_graph_of_too_many_nodes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copy_module, "MAX_NODES", 5)
    source, target = MemoryTarget(), MemoryTarget()
    root = add_image(source, [b"%d" % each for each in range(6)])

    with pytest.raises(LimitExceeded):
        copy(source, target, root)


def test_manifests_that_would_fill_the_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copy_module, "MAX_DOCUMENT_BYTES", 1000)
    source, target = MemoryTarget(), MemoryTarget()
    root = add_index(source, [add_image(source, [b"%d" % each]) for each in range(6)])

    with pytest.raises(LimitExceeded):
        copy(source, target, root)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from([b"a", b"b", b"c", b"d"]), max_size=4), min_size=1, max_size=4),
    st.integers(0, 12),
)
def test_a_failure_at_any_push_leaves_no_parent_without_children(
    images: list[list[bytes]], fail_at: int
) -> None:
    class Failing(MemoryTarget):
        def push(self, descriptor: Descriptor, opener: Opener) -> None:
            if len(self.pushed) >= fail_at:
                raise NotFound("the target went away")
            super().push(descriptor, opener)

    source, target = MemoryTarget(), Failing()
    roots = [add_image(source, layers, config=b'{"n":%d}' % n) for n, layers in enumerate(images)]
    root = add_index(source, roots)

    try:
        copy(source, target, root, parallel=2)
    except NotFound:
        assert not target.has(root)
    else:
        assert target.has(root)

    assert_closed(target, source)


def test_a_failure_cancels_what_else_is_under_way() -> None:
    cancellation = Cancellation()

    class Waiting(MemoryTarget):
        def push(self, descriptor: Descriptor, opener: Opener) -> None:
            if descriptor.size == len(b"gone"):
                raise NotFound("the layer is gone")
            cancellation.pause(3600)

    source, target = MemoryTarget(), Waiting()
    root = add_image(source, [b"a", b"bb", b"gone"])

    with pytest.raises(NotFound):
        copy(source, target, root, cancellation=cancellation)
