import os
from functools import partial
from pathlib import Path

import pytest

from fixtures.images.entries import file, make_tar
from layerstore.content import opened_bytes
from layerstore.errors import InvalidLayer
from layerstore.layer.codec import compressor
from layerstore.oci import mediatype
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.digest import Digest
from layerstore.oci.mediatype import Compression
from layerstore.oci.platform import Platform
from layerstore.snapshot.erofs import ErofsDriver
from layerstore.snapshot.snapshotter import Snapshotter
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


def packed(data: bytes, compression: Compression) -> bytes:
    stream = compressor(compression)
    return stream.compress(data) + stream.flush()


def test_a_layer_in_another_compression_is_kept_as_a_blob_and_shares_what_is_unpacked(store: Store) -> None:
    tar = Path(store.layers.path(Digest.of(TAR)), "tar")
    blobs = {"gzip": packed(TAR, "gzip"), "zstd": packed(TAR, "zstd")}
    gzip = take_in(store, blobs["gzip"], mediatype.oci_layer("gzip"))
    before = tar.stat()

    zstd = take_in(store, blobs["zstd"], mediatype.oci_layer("zstd"))

    assert (tar.stat().st_ino, tar.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert Path(store.layout.blob(gzip.digest)).read_bytes() == blobs["gzip"]
    assert Path(store.layout.blob(zstd.digest)).read_bytes() == blobs["zstd"]


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_a_blob_that_is_here_does_not_pass_for_another_layer_that_is_here(
    store: Store, kind: Compression
) -> None:
    private = make_tar([file("secret", b"private\n")])
    take_in(store, packed(private, "gzip"), mediatype.oci_layer("gzip"))
    public = take_in(store, packed(TAR, kind), mediatype.oci_layer(kind))

    with pytest.raises(InvalidLayer):
        Snapshotter(store, ErofsDriver()).ensure_stack([public], [Digest.of(private)])


def test_which_blob_a_layer_is_made_of_is_found_out_once(store: Store) -> None:
    layer = take_in(store, packed(TAR, "gzip"), mediatype.oci_layer("gzip"))
    directory = store.layers.path(Digest.of(TAR))
    snapshotter = Snapshotter(store, ErofsDriver())
    for name in os.listxattr(directory):
        os.removexattr(directory, name)
    snapshotter.ensure_stack([layer], [Digest.of(TAR)])  # must look into the blob

    os.unlink(store.layout.blob(layer.digest))
    snapshotter.ensure_stack([layer], [Digest.of(TAR)])

    assert snapshotter.has([Digest.of(TAR)])
