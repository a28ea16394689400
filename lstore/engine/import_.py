"""`import`: the tar archive of a file system → an image of one layer."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from typing import BinaryIO

from layerstore.content import CHUNK, Opener, opened_bytes
from layerstore.dataclass import dataclass, field
from layerstore.errors import InvalidLayer, storage_error
from layerstore.layer.codec import MAGIC_SIZE, compressor, decompressor, detect
from layerstore.oci import mediatype
from layerstore.oci.config import ImageConfig
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.digest import Digest
from layerstore.oci.document import Json, dump
from layerstore.oci.manifest import build_manifest
from layerstore.oci.mediatype import Compression
from layerstore.oci.platform import Platform
from layerstore.oci.reference import Reference
from layerstore.progress import SILENT, Loading, Progress
from layerstore.snapshot.unpack import unpack_layers
from layerstore.store.refs import Ref
from layerstore.store.staging import staged
from lstore.engine.admit import admit, make_ready
from lstore.engine.change_instructions import apply_changes
from lstore.engine.engine import Engine


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """What the image is to be called and to say; `created` is the moment it claims, for determinism."""

    created: datetime
    name: Reference | None = None
    platform: Platform | None = None
    message: str = ""
    changes: Sequence[str] = field(default_factory=tuple)


def import_image(
    engine: Engine, stream: BinaryIO, request: ImportRequest, *, progress: Progress = SILENT
) -> Digest:
    """The id of a new image whose one layer is the tar, gzip or zstd archive read from `stream`. Durable.

    A compressed archive becomes the layer byte for byte; a plain one is compressed. Raises `InvalidLayer`,
    `UnsupportedContent` for xz and bzip2, `UsageError` for a change that cannot be, `StorageError`.
    """
    platform = request.platform or engine.platform
    defaults = apply_changes({}, request.changes)
    with staged(engine.store.layout) as directory:
        layer = _receive(stream, os.path.join(directory, "layer"), progress)
        config = _configuration(request, platform, defaults, layer.diff_id)
        manifest = build_manifest(Descriptor.of(mediatype.OCI_CONFIG, config), (layer.descriptor,))
        before = engine.store.refs.read()
        with engine.store.transaction(unpack_layers, Loading(progress)) as transaction:
            transaction.push(layer.descriptor, layer.opener)
            transaction.push(manifest.config, partial(opened_bytes, config))
            transaction.push(manifest.descriptor, partial(opened_bytes, manifest.raw))
            admitted = admit(transaction, Ref(request.name, manifest.descriptor))
            transaction.commit()
    make_ready(engine, ((manifest, ImageConfig.parse(config)),), (admitted,), before, progress)
    return manifest.config.digest


@dataclass(frozen=True, slots=True)
class _Received:
    """The layer's blob in a file, and the diff_id of the tar in it."""

    path: str
    descriptor: Descriptor
    diff_id: Digest

    @property
    def opener(self) -> Opener:
        return partial(_opened, self.path)


def _opened(path: str, offset: int) -> BinaryIO:
    stream = open(path, "rb")  # noqa: SIM115  # the result is the context manager
    stream.seek(offset)
    return stream


def _receive(stream: BinaryIO, path: str, progress: Progress) -> _Received:
    """Read all of `stream` into the file `path`, as a layer's blob."""
    head = stream.read(CHUNK)
    if not head:
        raise InvalidLayer("cannot import: the archive is empty")
    compression = detect(head[:MAGIC_SIZE])
    tar = _Tar(compression)
    progress.phase("layer", "reading")
    try:
        with open(path, "xb") as file:
            blob = _Blob(file, "gzip" if compression == "none" else "none")
            for chunk in chain((head,), iter(partial(stream.read, CHUNK), b"")):
                tar.feed(chunk)
                blob.write(chunk)
                progress.advance("layer", len(chunk))
            diff_id = tar.finish()
            digest, size = blob.finish()
    except OSError as error:
        raise storage_error(error, f"write {path}") from error
    media_type = mediatype.oci_layer("gzip" if compression == "none" else compression)
    return _Received(path, Descriptor(media_type, digest, size), diff_id)


class _Tar:
    """The tar that an archive holds, digested as it is unpacked."""

    def __init__(self, compression: Compression) -> None:
        self._decompressor = decompressor(compression)
        self._hasher = hashlib.sha256()

    def feed(self, chunk: bytes) -> None:
        for piece in self._decompressor.decompress(chunk):
            self._hasher.update(piece)

    def finish(self) -> Digest:
        """The diff_id. Raises `InvalidLayer` where the archive ends too soon."""
        self._decompressor.finish()
        return Digest("sha256", self._hasher.hexdigest())


class _Blob:
    """A file being written, compressed on the way, and its digest."""

    def __init__(self, file: BinaryIO, compression: Compression) -> None:
        self._file = file
        self._compressor = compressor(compression)
        self._hasher = hashlib.sha256()

    def write(self, chunk: bytes) -> None:
        self._put(self._compressor.compress(chunk))

    def finish(self) -> tuple[Digest, int]:
        """The digest and size in bytes of the whole."""
        self._put(self._compressor.flush())
        return Digest("sha256", self._hasher.hexdigest()), self._file.tell()

    def _put(self, data: bytes) -> None:
        self._hasher.update(data)
        self._file.write(data)


def _configuration(
    request: ImportRequest, platform: Platform, defaults: Mapping[str, Json], diff_id: Digest
) -> bytes:
    """The image configuration. OCI image-spec, config.md."""
    created = request.created.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    step: dict[str, Json] = {"created": created, "comment": request.message or "Imported from a tar archive"}
    return dump(
        {
            **platform.to_json(),
            "created": created,
            "config": dict(defaults),
            "rootfs": {"type": "layers", "diff_ids": [str(diff_id)]},
            "history": [step],
        }
    )
