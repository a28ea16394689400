"""Blobs are read only where they are what they are said to be."""

from pathlib import Path

import pytest

from fixtures.memory import MemoryTarget
from fixtures.store import add_image, store_image
from layerstore.content import read_document
from layerstore.errors import ContentMismatch, NotFound, StoreDamaged
from layerstore.oci import mediatype
from layerstore.oci.descriptor import Descriptor
from layerstore.store.store import Store


@pytest.fixture
def image(store: Store) -> Descriptor:
    """The manifest of an image in the store."""
    source = MemoryTarget()
    image = add_image(source, [b"one"])
    store_image(store, source, image, "debian")
    return image


def test_a_blob_that_is_not_there_is_not_found(store: Store) -> None:
    with pytest.raises(NotFound) as caught, store.blobs.fetch(Descriptor.of(mediatype.OCI_LAYER, b"x")):
        pass

    assert caught.value.hint == "lstore fsck"


@pytest.mark.parametrize("change", [b"", b"more"])
def test_a_blob_of_another_size_is_damage_before_a_byte_of_it_is_read(
    store: Store, image: Descriptor, change: bytes
) -> None:
    path = Path(store.layout.blob(image.digest))
    path.write_bytes(path.read_bytes() + change if change else b"")

    with pytest.raises(StoreDamaged) as caught, store.blobs.fetch(image):
        pass

    assert caught.value.hint == "lstore fsck --repair"
    assert not store.blobs.has(image)


def test_a_blob_with_a_flipped_bit_is_found_out_by_who_reads_it(store: Store, image: Descriptor) -> None:
    path = Path(store.layout.blob(image.digest))
    path.write_bytes(path.read_bytes().replace(b"{", b"[", 1))

    with pytest.raises(ContentMismatch):
        read_document(store.blobs, image)
