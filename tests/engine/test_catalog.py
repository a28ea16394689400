"""Images are found by any of their names and ids, and damage to one never hides another."""

from pathlib import Path

import pytest

from fixtures.images.layout import ARM64, ImageBuilder, Layer
from layerstore.errors import Conflict, InvalidReference, NotFound
from layerstore.oci.descriptor import Descriptor
from layerstore.store.store import Store
from lstore.engine import catalog


def put_two(put, hello: Layer) -> tuple[Descriptor, Descriptor]:
    """debian and alpine, two images."""
    builder = ImageBuilder()
    debian = put(builder, builder.add_image([hello], config={"Env": ["A=1"]}), "debian")
    alpine = put(builder, builder.add_image([hello], config={"Env": ["A=2"]}), "alpine:3", "mine/alpine")
    return debian, alpine


def every_image(store: Store) -> tuple[catalog.Image, ...]:
    return catalog.images(store, store.refs.read())


def test_one_image_with_two_names_is_listed_once(store: Store, put, hello: Layer) -> None:
    put_two(put, hello)

    found = every_image(store)

    names = sorted(sorted(name.familiar for name in image.names) for image in found)
    assert names == [["alpine:3", "mine/alpine:latest"], ["debian:latest"]]


@pytest.mark.parametrize("form", ["{id}", "{hex}", "{prefix}", "{manifest}", "debian", "debian@{manifest}"])
def test_every_way_to_name_an_image_finds_it(store: Store, put, hello: Layer, form: str) -> None:
    debian, _ = put_two(put, hello)
    image = catalog.find(store, "debian")
    text = form.format(
        id=image.id, hex=image.id.encoded, prefix=image.id.encoded[:12], manifest=debian.digest
    )

    found = catalog.find(store, text)

    assert found.id == image.id


def test_a_name_goes_before_an_id_that_starts_alike(store: Store, put, hello: Layer) -> None:
    debian, _ = put_two(put, hello)
    prefix = catalog.find(store, "debian").id.encoded[:6]
    builder = ImageBuilder()
    put(builder, builder.add_image([hello], config={"User": "x"}), prefix)

    found = catalog.find(store, prefix)

    assert found.descriptor != debian


def test_a_prefix_of_two_ids_is_refused(store: Store, put, hello: Layer) -> None:
    put_two(put, hello)
    candidates = every_image(store)

    with pytest.raises(Conflict):
        catalog.one_id(candidates, "")


def test_an_image_that_is_not_there_says_how_to_get_it(store: Store) -> None:
    with pytest.raises(NotFound) as caught:
        catalog.find(store, "debian:12")

    assert caught.value.message == "no such image: debian:12"
    assert caught.value.hint == "lstore pull debian:12"


def test_text_that_names_nothing_is_told_apart(store: Store) -> None:
    with pytest.raises(InvalidReference):
        catalog.find(store, "De bian")


def test_the_own_platform_of_an_index_is_preferred(store: Store, put, hello: Layer) -> None:
    builder = ImageBuilder()
    arm = builder.add_image([hello], platform=ARM64)
    amd = builder.add_image([hello])
    put(builder, builder.add_index([arm, amd]), "both")

    found = catalog.find(store, "both")

    assert found.descriptor == amd
    assert len(every_image(store)) == 2


def test_damage_to_one_image_leaves_the_others_listed(store: Store, put, hello: Layer) -> None:
    debian, alpine = put_two(put, hello)
    Path(store.layout.blob(debian.digest)).write_bytes(b"{}")

    found = every_image(store)

    assert {image.descriptor for image in found} == {debian, alpine}
    assert [bool(image.damage) for image in found if image.descriptor == debian] == [True]


def test_an_artifact_is_listed_without_a_configuration(store: Store, put) -> None:
    builder = ImageBuilder()
    put(builder, builder.add_artifact("application/x.test", b"data"), "artifact")

    image = catalog.find(store, "artifact")

    assert (image.config, image.damage) == (None, "")


def two_of_different_age(hello: Layer) -> tuple[ImageBuilder, Descriptor, Descriptor]:
    """An image, and one that was made later."""
    builder, later = (
        ImageBuilder(created="2010-01-01T00:00:00Z"),
        ImageBuilder(created="2020-01-01T00:00:00Z"),
    )
    pair = builder.add_image([hello]), later.add_image([hello])
    builder.blobs.update(later.blobs)
    return builder, *pair


def test_an_index_named_last_is_meant_though_the_image_before_it_was_made_later(
    store: Store, put, hello: Layer
) -> None:
    builder, early, late = two_of_different_age(hello)
    put(builder, late, "debian")
    put(builder, builder.add_index([early]), "debian")

    assert catalog.find(store, "debian").descriptor == early


def test_an_image_named_last_is_meant_though_one_in_the_index_before_it_was_made_later(
    store: Store, put, hello: Layer
) -> None:
    builder, early, late = two_of_different_age(hello)
    put(builder, builder.add_index([late]), "debian")
    put(builder, early, "debian")

    assert catalog.find(store, "debian").descriptor == early


def test_images_that_an_index_brings_again_are_listed_once(store: Store, put, hello: Layer) -> None:
    builder = ImageBuilder()
    amd, arm = builder.add_image([hello]), builder.add_image([hello], platform=ARM64)
    put(builder, amd, "debian")
    put(builder, arm, "debian")
    put(builder, builder.add_index([amd, arm]), "debian")

    assert [len(image.refs) for image in every_image(store)] == [1, 1]
