"""Write an archive for ``docker load``, as docker 25 and later save them: an OCI layout that older readers
find their ``manifest.json`` and ``repositories`` in, too.

github.com/moby/docker-image-spec, v1.2.md. Layers are plain tars, named by their diff_ids; several images
share theirs. The configurations' bytes are unchanged, and with them the image IDs. Names are whole:
docker reads those like its own short ones, but podman takes ``debian:12`` for ``localhost/debian:12``.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from layerstore.archive.docker_archive import MANIFEST_FILE, SavedImage
from layerstore.archive.layout_index import INDEX_FILE, LAYOUT_BYTES, LAYOUT_FILE, LayoutIndex
from layerstore.archive.oci_layout import blob_name
from layerstore.archive.tar_writer import Output, TarWriter
from layerstore.content import Readable, VerifyingReader
from layerstore.dataclass import replace
from layerstore.oci import mediatype
from layerstore.oci.config import ImageConfig
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.digest import Digest
from layerstore.oci.document import Json, dump
from layerstore.oci.manifest import build_manifest
from layerstore.oci.reference import Reference

REPOSITORIES_FILE = "repositories"


class LayerTars(Protocol):
    """Where the uncompressed tars of layers come from."""

    @property
    def is_verified(self) -> bool:
        """Whether the bytes were found to be those of the diff_id before, and need not be digested once more."""
        ...

    def open_tar(self, diff_id: Digest) -> AbstractContextManager[tuple[Readable, int]]:
        """The bytes of the layer, uncompressed, and how many they are. Raises `NotFound`."""
        ...


class DockerArchiveWriter:
    """An archive on its way to `output`, a file or a pipe; its layers come from `layers`."""

    def __init__(self, output: Output, layers: LayerTars) -> None:
        self._tar = TarWriter(output)
        self._layers = layers
        self._written: dict[Digest, int] = {}
        self._images: dict[Digest, SavedImage] = {}
        self._index = LayoutIndex.empty()
        self._repositories: dict[str, dict[str, Json]] = {}

    def add(self, config: ImageConfig, names: Sequence[Reference]) -> None:
        """The image of `config`, whose layers are written unless they were before.

        Only names with a tag are kept: docker's archives know no others. Adding an image again adds names.
        Raises what `LayerTars.open_tar` does, `ContentMismatch`, `StorageError`, and `Conflict` once the
        archive is spoilt.
        """
        layers = tuple(self._layer(diff_id) for diff_id in config.diff_ids)
        manifest = build_manifest(self._bytes(mediatype.OCI_CONFIG, config.raw), layers)
        root = self._bytes(mediatype.OCI_MANIFEST, manifest.raw)
        if not config.platform.is_unknown:
            root = replace(root, platform=config.platform)
        tagged = [replace(name, digest=None) for name in names if name.tag is not None]
        self._index = self._index.with_root(root)
        for name in tagged:
            self._index = self._index.with_name(root, str(name))
            top = config.diff_ids[-1] if config.diff_ids else config.image_id
            self._repositories.setdefault(name.name, {})[name.tag or ""] = top.encoded
        self._remember(config, layers, tuple(str(name) for name in tagged))

    def finish(self) -> None:
        """Write the lists of images, and end the archive. Raises `Conflict`, `StorageError`."""
        images = [image.to_json() for image in self._images.values()]
        self._tar.add_bytes(INDEX_FILE, self._index.to_bytes())
        self._tar.add_bytes(MANIFEST_FILE, dump(images))
        self._tar.add_bytes(LAYOUT_FILE, LAYOUT_BYTES)
        self._tar.add_bytes(REPOSITORIES_FILE, dump(self._repositories))
        self._tar.finish()

    def _remember(self, config: ImageConfig, layers: tuple[Descriptor, ...], names: tuple[str, ...]) -> None:
        known = self._images.get(config.image_id)
        image = SavedImage(
            config=blob_name(config.image_id),
            names=tuple(dict.fromkeys((*(known.names if known else ()), *names))),
            layers=tuple(blob_name(layer.digest) for layer in layers),
        )
        self._images[config.image_id] = image

    def _layer(self, diff_id: Digest) -> Descriptor:
        if diff_id not in self._written:
            with self._layers.open_tar(diff_id) as (stream, size):
                layer = Descriptor(mediatype.OCI_LAYER, diff_id, size)
                reader = stream if self._layers.is_verified else VerifyingReader(stream, layer)
                self._tar.add_file(blob_name(diff_id), size, lambda member: member.copy_from(reader))
            self._written[diff_id] = size
        return Descriptor(mediatype.OCI_LAYER, diff_id, self._written[diff_id])

    def _bytes(self, media_type: str, data: bytes) -> Descriptor:
        blob = Descriptor.of(media_type, data)
        if blob.digest not in self._written:
            self._tar.add_bytes(blob_name(blob.digest), data)
            self._written[blob.digest] = blob.size
        return blob
