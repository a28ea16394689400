"""`rmi` untags and deletes as docker does, and takes with an image only what it alone needed."""

import os
from pathlib import Path

import pytest

from fixtures.images.entries import file
from fixtures.images.layout import ARM64, ImageBuilder, Layer, layer
from layerstore.errors import Conflict, NotFound
from layerstore.snapshot.directory import DirectoryDriver
from layerstore.snapshot.snapshotter import Snapshotter
from layerstore.store.store import Store
from lstore.engine import catalog
from lstore.engine.admit import images_below
from lstore.engine.remove import remove_images


def lines(store: Store, *wanted: str, force: bool = False) -> list[str]:
    removal = remove_images(store, Snapshotter(store, DirectoryDriver()), wanted, force=force)
    for failure in removal.failures:
        raise failure
    return [str(event) for event in removal.events]


def blob_count(store: Store) -> int:
    return len(os.listdir(store.layout.blobs("sha256")))


def test_one_of_two_names_is_only_untagged(store: Store, put, hello: Layer) -> None:
    builder = ImageBuilder()
    put(builder, builder.add_image([hello]), "one", "two")

    assert lines(store, "one") == ["Untagged: one:latest"]
    assert blob_count(store) == 3


def test_the_last_name_takes_the_image_with_it(store: Store, put, hello: Layer) -> None:
    builder = ImageBuilder()
    put(builder, builder.add_image([hello]), "one")
    image_id = catalog.find(store, "one").id

    assert lines(store, "one") == ["Untagged: one:latest", f"Deleted: {image_id}"]
    assert blob_count(store) == 0


def test_shared_layers_stay_for_the_other_image(store: Store, put, hello: Layer) -> None:
    builder = ImageBuilder()
    own = layer([file("own")])
    put(builder, builder.add_image([hello, own]), "doomed")
    kept = put(builder, builder.add_image([hello]), "kept")

    lines(store, "doomed")

    assert store.blobs.has_graph(kept)
    assert blob_count(store) == 3


def test_an_id_with_names_in_one_repository_goes_with_all_of_them(store: Store, put, hello: Layer) -> None:
    builder = ImageBuilder()
    put(builder, builder.add_image([hello]), "one:a", "one:b")
    image_id = catalog.find(store, "one:a").id

    removed = lines(store, image_id.short)

    assert removed == ["Untagged: one:a", "Untagged: one:b", f"Deleted: {image_id}"]


def test_an_id_with_names_in_two_repositories_needs_force(store: Store, put, hello: Layer) -> None:
    builder = ImageBuilder()
    put(builder, builder.add_image([hello]), "one", "two")
    image_id = catalog.find(store, "one").id

    with pytest.raises(Conflict) as caught:
        lines(store, image_id.short)

    assert caught.value.hint == f"lstore rmi --force {image_id.short}"
    assert len(lines(store, image_id.short, force=True)) == 3


def test_one_image_of_an_index_is_not_removed_by_id(store: Store, put, hello: Layer) -> None:
    builder = ImageBuilder()
    inner = [builder.add_image([hello]), builder.add_image([hello], platform=ARM64)]
    put(builder, builder.add_index(inner), "both")

    with pytest.raises(Conflict):
        lines(store, catalog.find(store, "both").id.short)

    assert len(lines(store, "both")) == 3


def test_a_digest_removes_the_name_that_has_it(store: Store, put, hello: Layer) -> None:
    builder = ImageBuilder()
    descriptor = builder.add_image([hello])
    put(builder, descriptor, "one", f"one@{descriptor.digest}")

    assert lines(store, f"one@{descriptor.digest}") == [f"Untagged: one@{descriptor.digest}"]
    assert catalog.find(store, "one").descriptor == descriptor


def test_what_is_missing_does_not_keep_the_rest(store: Store, put, hello: Layer) -> None:
    builder = ImageBuilder()
    put(builder, builder.add_image([hello]), "one")

    snapshotter = Snapshotter(store, DirectoryDriver())

    removal = remove_images(store, snapshotter, ["nothing", "one", "one"])

    assert [type(failure) for failure in removal.failures] == [NotFound]
    assert len(removal.events) == 2


def test_a_damaged_image_can_be_removed(store: Store, put, hello: Layer) -> None:
    builder = ImageBuilder()
    descriptor = put(builder, builder.add_image([hello]), "broken")
    Path(store.layout.blob(descriptor.digest)).write_bytes(b"{")

    removed = lines(store, "broken")

    assert removed[0] == "Untagged: broken:latest"
    assert blob_count(store) == 0


def test_layers_that_a_container_stands_on_stay(store: Store, put, hello: Layer) -> None:
    builder = ImageBuilder()
    root = put(builder, builder.add_image([hello]), "one")
    snapshotter = Snapshotter(store, DirectoryDriver())
    (image,) = images_below(store.blobs, [root])
    snapshotter.ensure(*image)
    snapshotter.prepare("container", [hello.diff_id])

    remove_images(store, snapshotter, ["one"])

    assert snapshotter.has([hello.diff_id])
