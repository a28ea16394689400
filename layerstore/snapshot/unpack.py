"""From layer blobs to layers: while they stream by, or later from a blob that is there already.

Stage "layers" of docs/flow.md. A layer directory holds ``tar`` (what the diff_id names) and ``index``
(an EROFS over it); every driver starts from these two files.
"""

import hashlib
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

from layerstore.content import CHUNK
from layerstore.errors import InvalidLayer, storage_error
from layerstore.oci import mediatype
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.digest import Digest
from layerstore.progress import Progress
from layerstore.store.ingest import Sink, blob_beside
from layerstore.store.staging import staged
from layerstore.store.store import Store

if TYPE_CHECKING:
    from layerstore.layer.tar_writer import PlainBlob


class _LayerSink:
    """A `LayerWriter` in the role of a blob's sink."""

    def __init__(self, directory: str, blob: "PlainBlob | None" = None) -> None:
        from layerstore.layer.ingest import LayerWriter  # noqa: PLC0415 - every command imports this module

        self._writer = LayerWriter(directory, blob=blob)

    def write(self, chunk: bytes) -> None:
        self._writer.write(chunk)

    def finish(self) -> Digest:
        return self._writer.finish().diff_id

    def abort(self) -> None:
        self._writer.abort()


def unpack_layers(descriptor: Descriptor, directory: str) -> Sink | None:
    """A `SinkFactory`: layers are unpacked on the way in, everything else is kept as it is."""
    if not mediatype.is_layer(descriptor.media_type):
        return None
    is_diff_id = (
        descriptor.digest.algorithm == "sha256"
    )  # if it is a plain tar, which the first bytes will tell
    from layerstore.layer.tar_writer import PlainBlob  # noqa: PLC0415 - every command imports this module

    return _LayerSink(directory, PlainBlob(blob_beside(directory), descriptor.digest) if is_diff_id else None)


def unpack_blob(store: Store, layer: Descriptor, diff_id: Digest, progress: Progress) -> None:
    """Make the layer of `diff_id` from its blob in the store. Idempotent.

    Raises `InvalidLayer` where the blob is another layer, `NotFound`, `StorageError`.
    """
    progress.phase(layer.digest.short, "unpacking", layer.size)
    try:
        with staged(store.layout) as directory:
            found = _unpack(store, layer, directory, progress)
            _require(layer, found, diff_id)
            with store.locked():
                store.layers.publish({diff_id: directory})
                store.layers.note_made_of(diff_id, layer.digest)
    except OSError as error:
        raise storage_error(error, f"unpack layer {layer.digest} to {store.layout.layers}") from error
    progress.phase(layer.digest.short, "done")


def check_blob(store: Store, layer: Descriptor, diff_id: Digest, progress: Progress) -> None:
    """See that the blob in the store unpacks to `diff_id`, a layer that is there, unless that is known.

    Raises `InvalidLayer` where it is another layer, and as `unpack_blob` does.
    """
    if store.layers.is_made_of(diff_id, layer.digest):
        return
    from layerstore.layer.codec import MAGIC_SIZE, decompressor, detect  # noqa: PLC0415 - rarely needed

    found = hashlib.sha256()
    try:
        with store.blobs.fetch(layer) as blob:
            prefix = blob.read(CHUNK)
            while len(prefix) < MAGIC_SIZE and (more := blob.read(CHUNK)):
                prefix += more
            stream = decompressor(detect(prefix[:MAGIC_SIZE]))
            progress.phase(layer.digest.short, "verifying", layer.size)
            for chunk in chain((prefix,), iter(partial(blob.read, CHUNK), b"")):
                for data in stream.decompress(chunk):
                    found.update(data)
                progress.advance(layer.digest.short, len(chunk))
            stream.finish()
    except OSError as error:
        raise storage_error(error, f"read layer {layer.digest}") from error
    _require(layer, Digest("sha256", found.hexdigest()), diff_id)
    store.layers.note_made_of(diff_id, layer.digest)
    progress.phase(layer.digest.short, "done")


def _require(layer: Descriptor, found: Digest, diff_id: Digest) -> None:
    if found != diff_id:
        raise InvalidLayer(f"layer {layer.digest} has diff_id {found}, not {diff_id}")


def _unpack(store: Store, layer: Descriptor, directory: str, progress: Progress) -> Digest:
    sink = _LayerSink(directory)
    try:
        with store.blobs.fetch(layer) as stream:
            for chunk in iter(partial(stream.read, CHUNK), b""):
                sink.write(chunk)
                progress.advance(layer.digest.short, len(chunk))
        return sink.finish()
    except BaseException:
        sink.abort()
        raise
