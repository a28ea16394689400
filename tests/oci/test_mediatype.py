"""Media types: each is exactly one kind of thing."""

import pytest

from layerstore.oci import mediatype

LAYERS = {
    "application/vnd.oci.image.layer.v1.tar": "none",
    "application/vnd.oci.image.layer.v1.tar+gzip": "gzip",
    "application/vnd.oci.image.layer.v1.tar+zstd": "zstd",
    "application/vnd.docker.image.rootfs.diff.tar": "none",
    "application/vnd.docker.image.rootfs.diff.tar.gzip": "gzip",
    "application/vnd.docker.image.rootfs.diff.tar.zstd": "zstd",
}
FOREIGN = [
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
    "application/vnd.docker.image.rootfs.foreign.diff.tar",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
]


@pytest.mark.parametrize(("media_type", "compression"), LAYERS.items())
def test_a_layer_says_how_it_is_compressed(media_type: str, compression: str) -> None:
    assert mediatype.layer_compression(media_type) == compression
    assert mediatype.is_layer(media_type)
    assert not mediatype.is_foreign(media_type)


@pytest.mark.parametrize("media_type", FOREIGN)
def test_a_foreign_layer_is_no_layer_that_can_be_applied(media_type: str) -> None:
    assert mediatype.is_foreign(media_type)
    assert not mediatype.is_layer(media_type)
    assert mediatype.layer_compression(media_type) is None


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_the_oci_type_of_a_compression_has_that_compression(compression: mediatype.Compression) -> None:
    assert mediatype.layer_compression(mediatype.oci_layer(compression)) == compression


@pytest.mark.parametrize("media_type", mediatype.ACCEPTED)
def test_what_is_accepted_is_a_manifest_or_an_index_and_not_both(media_type: str) -> None:
    assert mediatype.is_manifest(media_type) != mediatype.is_index(media_type)
    assert not mediatype.is_schema1(media_type)
