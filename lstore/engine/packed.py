"""An image as it travels: layers of our own, which the store keeps as tars, compressed on their way out.

Layers that came from elsewhere keep their bytes, and an image of nothing else its digest. What is compressed
is spooled to a nameless file that goes with the block, and only its digest is remembered
(`layerstore.store.forms`): the next push of the layer compresses nothing where the registry has it.
"""

import hashlib
import os
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from typing import BinaryIO, Final

from layerstore.content import CHUNK, Readable, has_children, opened_bytes, read_document, read_manifest
from layerstore.dataclass import dataclass, replace
from layerstore.disk import locks
from layerstore.errors import StoreDamaged, UsageError, storage_error
from layerstore.layer.codec import LEVELS, compressor, decompressor, form_name
from layerstore.oci import mediatype
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.digest import Digest
from layerstore.oci.document import dump, parse_object
from layerstore.oci.manifest import Index, Manifest, parse
from layerstore.oci.mediatype import Compression
from layerstore.progress import SILENT, Progress
from layerstore.store import forms
from layerstore.store.store import Store
from layerstore.tasks import Cancellation, run_all

PARALLEL: Final = 4
_SUBJECT: Final = "vnd.docker.reference.digest"


@dataclass(frozen=True, slots=True)
class Packing:
    """How layers are to travel: those of our own, or all that are plain tars, or with `is_forced` all there are."""

    compression: Compression = "gzip"
    level: int | None = None
    """None for the level that is fast."""
    is_forced: bool = False
    is_explicit: bool = False
    """Whether somebody asked for it: then tars that came from elsewhere are compressed, too."""

    @classmethod
    def parse(
        cls, compression: str | None, level: int | None = None, *, is_forced: bool = False
    ) -> "Packing":
        """What the options say; "uncompressed" is "none". Raises `UsageError`."""
        kinds: dict[str, Compression] = {
            "gzip": "gzip",
            "zstd": "zstd",
            "none": "none",
            "uncompressed": "none",
        }
        if compression is not None and compression not in kinds:
            raise UsageError(f"cannot compress layers with {compression[:40]!r}", hint=", ".join(kinds))
        kind = kinds[compression or "gzip"]
        if level is not None:
            low, high = LEVELS.get(kind, (0, -1))
            if not low <= level <= high:
                what = f"{low} to {high}" if kind in LEVELS else "no levels"
                raise UsageError(f"invalid compression level {level}: {kind} has {what}")
        return cls(kind, level, is_forced, is_explicit=compression is not None or level is not None)


DEFAULT: Final = Packing()
AS_STORED: Final = Packing("none")


@contextmanager
def packed(
    store: Store,
    root: Descriptor,
    packing: Packing = DEFAULT,
    progress: Progress = SILENT,
    cancellation: Cancellation | None = None,
) -> Iterator[tuple["PackedSource", Descriptor]]:
    """A `Source` of the graph below `root` as it travels, inside the block, and its root then.

    Raises `NotFound`, `StoreDamaged`, `StorageError`, `InvalidLayer`.
    """
    with ExitStack() as opened:
        source = PackedSource(store, packing, progress, cancellation or Cancellation(), opened)
        yield source, source.convert(root)


class PackedSource:
    """The store's blobs, and beside them what takes the place of some of them."""

    def __init__(
        self,
        store: Store,
        packing: Packing,
        progress: Progress,
        cancellation: Cancellation,
        opened: ExitStack,
    ) -> None:
        self._store = store
        self._packing = packing
        self._name = form_name(packing.compression, packing.level)
        self._progress = progress
        self._cancellation = cancellation
        self._opened = opened
        self._mutex = threading.Lock()
        self._documents: dict[Digest, bytes] = {}
        self._spools: dict[Digest, BinaryIO] = {}
        self._origins: dict[Digest, Descriptor] = {}

    def resolve(self, name: str) -> Descriptor:
        """See `Source.resolve`: of the store, as it is kept."""
        return self._store.blobs.resolve(name)

    def fetch(self, descriptor: Descriptor, offset: int = 0) -> AbstractContextManager[Readable]:
        """See `Source.fetch`. A layer whose form was only remembered is compressed now.

        Raises `StoreDamaged` where that gives other bytes than before; the next try then knows it.
        """
        digest = descriptor.digest
        if digest in self._documents:
            return opened_bytes(self._documents[digest], offset)
        origin = self._origins.get(digest)
        if origin is None:
            return self._store.blobs.fetch(descriptor, offset)
        with self._mutex:
            spool = self._spools.get(digest)
        if spool is None:
            made = self._pack(origin)
            if made.digest != digest:
                raise StoreDamaged(
                    f"layer {origin.digest} is compressed otherwise than before", hint="the same again"
                )
            spool = self._spools[digest]
        return _opened_spool(spool, offset)

    def convert(self, root: Descriptor) -> Descriptor:
        """What stands for `root`, with all below it compressed as wanted.

        Raises as `read_manifest` does, and what a layer's compression raises.
        """
        layers = self._wanted(root)
        run = [partial(self._packed, layer) for layer in layers]
        made = run_all(run, limit=PARALLEL, cancellation=self._cancellation)
        return self._rewrite(root, dict(zip(layers, made, strict=True)))

    def _wanted(self, root: Descriptor) -> list[Descriptor]:
        found: dict[Descriptor, None] = {}
        pending = [root]
        while pending:
            node = pending.pop()
            if not has_children(node):
                continue
            parsed = read_manifest(self._store.blobs, node)
            if isinstance(parsed, Index):
                pending += parsed.manifests
            elif parsed.is_image:
                found.update(dict.fromkeys(filter(self._is_wanted, parsed.layers)))
        return sorted(found, key=lambda layer: layer.size, reverse=True)

    def _is_wanted(self, layer: Descriptor) -> bool:
        kind = mediatype.layer_compression(layer.media_type)
        if kind is None or kind == self._packing.compression:
            return False
        if self._packing.is_forced:
            return True
        return kind == "none" and (self._packing.is_explicit or self._forms(layer) is not None)

    def _forms(self, layer: Descriptor) -> "forms.Forms | None":
        return forms.read_forms(self._store.layers.path(layer.digest))

    def _packed(self, layer: Descriptor) -> Descriptor:
        known = (self._forms(layer) or {}).get(self._name)
        if known is None:
            return self._pack(layer)
        self._origins[known.digest] = layer
        return known

    def _pack(self, layer: Descriptor) -> Descriptor:
        """Compress `layer` into a spool, and remember what that gave."""
        short = layer.digest.short
        kind = mediatype.layer_compression(layer.media_type) or "none"
        unpack = decompressor(kind)
        pack = compressor(self._packing.compression, self._packing.level)
        state, size = hashlib.sha256(), 0
        self._progress.phase(short, "compressing", layer.size)
        try:
            spool = tempfile.TemporaryFile(dir=self._store.layout.ingests)  # noqa: SIM115  # closed with the block
            with self._mutex:
                self._opened.callback(spool.close)
            with self._store.blobs.fetch(layer) as stream:
                for chunk in iter(partial(stream.read, CHUNK), b""):
                    self._cancellation.check()
                    self._progress.advance(short, len(chunk))
                    for plain in unpack.decompress(chunk):
                        size += _write(spool, pack.compress(plain), state)
            unpack.finish()
            size += _write(spool, pack.flush(), state)
            spool.flush()
        except OSError as error:
            raise storage_error(error, f"compress layer {layer.digest}") from error
        self._progress.phase(short, "done")
        media_type = mediatype.oci_layer(self._packing.compression)
        made = Descriptor(media_type, Digest("sha256", state.hexdigest()), size)
        with self._mutex:
            self._origins[made.digest] = layer
            self._spools[made.digest] = spool
        self._remember(layer, made)
        return made

    def _remember(self, layer: Descriptor, made: Descriptor) -> None:
        try:
            # Else a collection takes the note while it is written.
            with locks.shared(self._store.layout.lock):
                forms.remember(self._store.layers.path(layer.digest), self._name, made)
        except OSError as error:
            raise storage_error(error, f"lock the store at {self._store.layout.root}") from error

    def _rewrite(self, node: Descriptor, made: dict[Descriptor, Descriptor]) -> Descriptor:
        """The document that stands for `node`; `node` itself where nothing below it changes."""
        parsed = read_manifest(self._store.blobs, node)
        if isinstance(parsed, Index):
            return self._rewrite_index(node, parsed, made)
        if not any(layer in made for layer in parsed.layers):
            return node
        layers = [_in_place(layer, made.get(layer, layer)) for layer in parsed.layers]
        return self._replaced(node, parsed, layers=layers)

    def _rewrite_index(
        self, node: Descriptor, parsed: Index, made: dict[Descriptor, Descriptor]
    ) -> Descriptor:
        changed: dict[Digest, Digest] = {}
        entries = []
        for each in parsed.manifests:
            other = self._rewrite(each, made) if has_children(each) else each
            if other.digest != each.digest:
                changed[each.digest] = other.digest
            entries.append(_in_place(each, other))
        if not changed:
            return node
        return self._replaced(node, parsed, manifests=[self._about(each, changed) for each in entries])

    def _about(self, entry: Descriptor, changed: dict[Digest, Digest]) -> Descriptor:
        """A statement about an image, when the image has another digest now: BuildKit's attestations name it."""
        subjects = {str(old): (old, new) for old, new in changed.items()}
        pair = subjects.get(entry.annotations.get(_SUBJECT, ""))
        if pair is None:
            return entry
        manifest = read_manifest(self._store.blobs, entry)
        if not isinstance(manifest, Manifest):
            return entry
        renamed = {part: self._renamed(part, *pair) for part in manifest.layers}
        config = read_document(self._store.blobs, manifest.config)
        for old, new in renamed.items():
            config = config.replace(old.digest.encoded.encode(), new.digest.encoded.encode())
        config_now = Descriptor.of(manifest.config.media_type, config)
        self._documents[config_now.digest] = config
        layers = [_in_place(part, renamed[part]) for part in manifest.layers]
        made = self._replaced(entry, manifest, layers=layers, config=[_in_place(manifest.config, config_now)])
        return replace(_in_place(entry, made), annotations={**entry.annotations, _SUBJECT: str(pair[1])})

    def _renamed(self, statement: Descriptor, old: Digest, new: Digest) -> Descriptor:
        raw = read_document(self._store.blobs, statement)
        data = raw.replace(old.encoded.encode(), new.encoded.encode())
        made = Descriptor.of(statement.media_type, data)
        self._documents[made.digest] = data
        return made

    def _replaced(
        self, node: Descriptor, parsed: Manifest | Index, **fields: Iterable[Descriptor]
    ) -> Descriptor:
        """`parsed` with these descriptors in their places, all else as it was."""
        body = dict(parse_object(parsed.raw, "manifest"))
        docker = parsed.media_type in (mediatype.DOCKER_MANIFEST, mediatype.DOCKER_LIST)
        for name, values in fields.items():
            described = [_as_docker(value).to_json() if docker else value.to_json() for value in values]
            body[name] = described[0] if name == "config" else described
        raw = dump(body)
        made = parse(raw, parsed.media_type).descriptor
        self._documents[made.digest] = raw
        return _in_place(node, made)


def _in_place(old: Descriptor, new: Descriptor) -> Descriptor:
    """`old` with what identifies it taken from `new`."""
    return replace(old, media_type=new.media_type, digest=new.digest, size=new.size)


_DOCKER: Final = {
    mediatype.OCI_LAYER: mediatype.DOCKER_LAYER,
    mediatype.OCI_LAYER_GZIP: mediatype.DOCKER_LAYER_GZIP,
    mediatype.OCI_LAYER_ZSTD: mediatype.DOCKER_LAYER_ZSTD,
}


def _as_docker(layer: Descriptor) -> Descriptor:
    return replace(layer, media_type=_DOCKER.get(layer.media_type, layer.media_type))


def _write(spool: BinaryIO, data: bytes, state: "hashlib._Hash") -> int:
    spool.write(data)
    state.update(data)
    return len(data)


@contextmanager
def _opened_spool(spool: BinaryIO, offset: int) -> Iterator[Readable]:
    yield _SpoolReader(spool.fileno(), offset)


class _SpoolReader:
    """Reads by position, so that several may read one spool."""

    def __init__(self, fd: int, position: int) -> None:
        self._fd = fd
        self._position = position

    def read(self, size: int, /) -> bytes:
        try:
            data = os.pread(self._fd, size, self._position)
        except OSError as error:
            raise storage_error(error, "read a compressed layer") from error
        self._position += len(data)
        return data
