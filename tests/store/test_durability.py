"""What a power cut may find: the order of syncs and renames, as the kernel is asked for them."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fixtures.crash.scenarios import collect, keep_tars
from fixtures.memory import MemoryTarget
from fixtures.store import add_image, add_index, store_image
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.digest import Digest
from layerstore.store.store import Store


@dataclass
class Journal:
    """Every change of names and every sync, in order, as words."""

    events: list[tuple[str, str]] = field(default_factory=list)

    def position(self, verb: str, path: str) -> int:
        return self.events.index((verb, path))

    def last_before(self, position: int, verb: str) -> int:
        return max(at for at, event in enumerate(self.events[:position]) if event[0] == verb)

    def assert_order(self, *events: tuple[str, str]) -> None:
        position = -1
        for event in events:
            assert event in self.events[position + 1 :], (event, self.events)
            position = self.events.index(event, position + 1)


@pytest.fixture
def journal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Journal]:
    """What this process asks of the kernel from now on."""
    found = Journal()
    real_rename, real_unlink, real_fsync, real_fdatasync = os.rename, os.unlink, os.fsync, os.fdatasync

    def rename(source: str, destination: str, **directories: int) -> None:
        real_rename(source, destination, **directories)
        found.events.append(("rename", destination))

    def unlink(path: str, **directory: int) -> None:
        real_unlink(path, **directory)
        found.events.append(("unlink", path))

    def fsync(descriptor: int) -> None:
        found.events.append(("fsync", os.readlink(f"/proc/self/fd/{descriptor}")))
        real_fsync(descriptor)

    def fdatasync(descriptor: int) -> None:
        found.events.append(("fdatasync", os.readlink(f"/proc/self/fd/{descriptor}")))
        real_fdatasync(descriptor)

    monkeypatch.setattr(os, "rename", rename)
    monkeypatch.setattr(os, "unlink", unlink)
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "fdatasync", fdatasync)
    yield found
    monkeypatch.undo()


def an_image(source: MemoryTarget) -> tuple[Descriptor, Descriptor]:
    image = add_image(source, [b"one"])
    return image, add_index(source, [image])


def test_refs_change_only_once_all_that_they_name_is_durable(store: Store, journal: Journal) -> None:
    source = MemoryTarget()
    image, index = an_image(source)
    layout = store.layout
    blobs, layer = layout.blobs("sha256"), Digest.of(b"one")

    store_image(store, source, index, "one", keep_tars)

    journal.assert_order(
        ("fdatasync", os.path.join(layout.ingest(layer), "blob")),
        ("rename", layout.blob(layer)),
        ("fsync", blobs),
        ("rename", layout.blob(image.digest)),
        ("rename", layout.blob(index.digest)),
        ("fsync", blobs),
        ("rename", layout.index),
        ("fsync", layout.content),
    )


def test_manifests_and_the_index_are_synced_before_they_get_their_names(
    store: Store, journal: Journal
) -> None:
    source = MemoryTarget()
    image, _ = an_image(source)

    store_image(store, source, image, "one")

    for path in (store.layout.blob(image.digest), store.layout.index):
        renamed = journal.position("rename", path)
        verb, synced = journal.events[journal.last_before(renamed, "fdatasync")]
        assert os.path.basename(synced).startswith(f".tmp-{os.path.basename(path)}"), verb


def test_a_layer_is_on_the_durable_list_before_it_has_its_name(store: Store, journal: Journal) -> None:
    source = MemoryTarget()
    image, _ = an_image(source)

    store_image(store, source, image, "one", keep_tars)

    path = store.layers.path(Digest.of(b"one"))
    unsealed = next(str(each) for each in Path(store.layout.layers).iterdir() if "unsealed" in each.name)
    journal.assert_order(("rename", unsealed), ("fsync", store.layout.layers), ("rename", path))


def test_the_uncompressed_form_is_not_waited_for(store: Store, journal: Journal) -> None:
    source = MemoryTarget()
    image, _ = an_image(source)

    store_image(store, source, image, "one", keep_tars)

    assert not [path for verb, path in journal.events if verb == "fdatasync" and path.endswith("/tar")]


def test_parents_are_gone_durably_before_their_children_go(store: Store, journal: Journal) -> None:
    source = MemoryTarget()
    image, index = an_image(source)
    store_image(store, source, index, "one", keep_tars)
    store.update_refs(lambda table: table.without(lambda ref: True))
    journal.events.clear()

    collect(store)

    layout = store.layout
    parents = (
        ("unlink", layout.blob(index.digest)),
        ("unlink", layout.blob(image.digest)),
        ("fsync", layout.blobs("sha256")),
        ("fsync", layout.layers),
    )
    # What has no children goes side by side.
    journal.assert_order(*parents, ("unlink", "tar"))
    journal.assert_order(*parents, ("unlink", layout.blob(Digest.of(b"one"))))


def test_an_image_that_is_there_costs_no_sync(store: Store, journal: Journal) -> None:
    source = MemoryTarget()
    image, _ = an_image(source)
    store_image(store, source, image, "one", keep_tars)
    journal.events.clear()

    store_image(store, source, image, "one", keep_tars)

    assert [verb for verb, _ in journal.events] == ["unlink"]  # of the lease
