"""Media types of OCI image-spec 1.1 and docker's schema 2, and what each one is.

Docker's schema 1 is refused: it was signed JSON around uncheckable layers, and registries drop it.
"""

from typing import Literal

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
OCI_LAYER_GZIP = OCI_LAYER + "+gzip"
OCI_LAYER_ZSTD = OCI_LAYER + "+zstd"
OCI_FOREIGN_LAYER = "application/vnd.oci.image.layer.nondistributable.v1.tar"

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
DOCKER_LAYER_GZIP = DOCKER_LAYER + ".gzip"
DOCKER_LAYER_ZSTD = DOCKER_LAYER + ".zstd"
DOCKER_FOREIGN_LAYER = "application/vnd.docker.image.rootfs.foreign.diff.tar"
DOCKER_SCHEMA1 = "application/vnd.docker.distribution.manifest.v1+json"
DOCKER_SCHEMA1_SIGNED = "application/vnd.docker.distribution.manifest.v1+prettyjws"

Compression = Literal["none", "gzip", "zstd"]

MANIFESTS = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
INDEXES = frozenset({OCI_INDEX, DOCKER_LIST})
CONFIGS = frozenset({OCI_CONFIG, DOCKER_CONFIG})
ACCEPTED = (OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST)
"""What lstore tells a registry it can read, best first."""

_SCHEMA1 = frozenset({DOCKER_SCHEMA1, DOCKER_SCHEMA1_SIGNED})
_LAYERS: dict[str, Compression] = {
    OCI_LAYER: "none",
    OCI_LAYER_GZIP: "gzip",
    OCI_LAYER_ZSTD: "zstd",
    DOCKER_LAYER: "none",
    DOCKER_LAYER_GZIP: "gzip",
    DOCKER_LAYER_ZSTD: "zstd",
}
_LAYER_OF: dict[Compression, str] = {"none": OCI_LAYER, "gzip": OCI_LAYER_GZIP, "zstd": OCI_LAYER_ZSTD}


def is_manifest(media_type: str) -> bool:
    """Whether it names one image's (or artifact's) manifest."""
    return media_type in MANIFESTS


def is_index(media_type: str) -> bool:
    """Whether it names a list of manifests."""
    return media_type in INDEXES


def is_config(media_type: str) -> bool:
    """Whether it names an image configuration."""
    return media_type in CONFIGS


def is_layer(media_type: str) -> bool:
    """Whether it names a filesystem layer that lstore can apply."""
    return media_type in _LAYERS


def is_foreign(media_type: str) -> bool:
    """Whether it names a layer that must be fetched from elsewhere, in any compression."""
    return media_type.startswith((OCI_FOREIGN_LAYER, DOCKER_FOREIGN_LAYER))


def is_schema1(media_type: str) -> bool:
    """Whether it names docker's retired first manifest format."""
    return media_type in _SCHEMA1


def layer_compression(media_type: str) -> Compression | None:
    """How a layer of this type says it is compressed; None where it is no layer."""
    return _LAYERS.get(media_type)


def oci_layer(compression: Compression) -> str:
    """The OCI media type of a layer in that compression."""
    return _LAYER_OF[compression]
