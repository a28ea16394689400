from functools import partial
from pathlib import Path

import pytest

from fixtures.images.entries import file, make_tar
from layerstore.content import opened_bytes
from layerstore.layer.codec import compressor
from layerstore.oci import mediatype
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.digest import Digest
from layerstore.oci.platform import Platform
from layerstore.snapshot.unpack import unpack_layers
from layerstore.store.store import Store, open_store

TAR = make_tar([file("etc/motd", b"welcome\n")])


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"), Platform("linux", "amd64"))


def take_in(store: Store, data: bytes, media_type: str) -> Descriptor:
    layer = Descriptor.of(media_type, data)
    with store.transaction(unpack_layers) as transaction:
        transaction.push(layer, partial(opened_bytes, data))
        transaction.commit()
    return layer


def test_a_plain_layer_lies_on_disk_once(store: Store) -> None:
    layer = take_in(store, TAR, mediatype.OCI_LAYER)

    tar = Path(store.layers.path(Digest.of(TAR)), "tar")
    assert tar.read_bytes() == TAR
    assert tar.samefile(store.layout.blob(layer.digest))


def test_a_compressed_layer_is_kept_both_ways(store: Store) -> None:
    stream = compressor("gzip")
    packed = stream.compress(TAR) + stream.flush()

    layer = take_in(store, packed, mediatype.oci_layer("gzip"))

    assert Path(store.layers.path(Digest.of(TAR)), "tar").read_bytes() == TAR
    assert Path(store.layout.blob(layer.digest)).read_bytes() == packed
