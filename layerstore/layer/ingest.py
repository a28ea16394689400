"""One layer's pipeline: compressed chunks in; its tar, digest and index out, in one pass. Stage "layers".

Decompress → sha256 → append to ``tar`` → index into ``index``. Small layers go through in the caller's
thread. A large one gets help: a second thread, so that inflating overlaps with hashing and writing (each
works without the interpreter lock), and an indexer process that follows the tar as it grows. Several layers
may be under way at once, each in a thread of its caller's; `HELPED` of them at a time are helped. Of those, one at
a time is indexed beyond `MANY` entries: the other's indexer waits for it, while its tar grows on.
"""

import threading
from types import TracebackType
from typing import Final

from layerstore.dataclass import dataclass
from layerstore.layer.codec import MAGIC_SIZE, MAX_LAYER_SIZE, Decompressor, decompressor, detect
from layerstore.layer.tar_writer import PlainBlob, TarWriter
from layerstore.oci.digest import Digest
from layerstore.oci.mediatype import Compression
from layerstore.tasks import Conveyor

LARGE: Final = 4 << 20
"""Bytes of tar from which a second thread and a process pay: indexing less takes no longer than starting them."""
HELPED: Final = 3
"""Large layers with a second thread and an indexer, which takes 0.5 kB for each entry; others wait their turn, with
all of their tar in the page cache."""
_BATCH: Final = 512 << 10
_WAITING_BATCHES: Final = 4
_LARGE_BLOCK: Final = 4 << 20
"""Bytes, more than any buffer of a layer has."""
_help = threading.BoundedSemaphore(HELPED)


@dataclass(frozen=True, slots=True)
class LayerFacts:
    """What a finished layer turned out to be."""

    diff_id: Digest
    size: int
    """Bytes of the uncompressed tar."""
    entries: int
    """Changes in it."""


def keep_freed_memory() -> None:
    """Let the C library keep what buffers free, and hand it out again: new pages for each take 3 % of a pull.

    Freeing a large block, never touched, raises the thresholds that glibc adapts (mallopt(3), M_MMAP_THRESHOLD), which
    keeps up to twice its size then. Other C libraries do as ever.
    """
    bytes(_LARGE_BLOCK)


class LayerWriter:
    """Takes one layer's blob chunk by chunk, and leaves files ``tar`` and ``index`` in a directory of the caller's.

    Compression is told by magic number, unless `compression` says it. Exactly one of `finish` and `abort`
    ends the work; as a context manager it aborts what was not finished. What `abort` leaves in the
    directory is worthless. Nothing is synced: that is the store's to do, once for all layers.

    Where the blob itself is a file in the making, `blob`, which has each chunk before `write` and is verified
    before `finish`, an uncompressed one is not written again: ``tar`` becomes another name of it.
    """

    def __init__(
        self,
        directory: str,
        compression: Compression | None = None,
        *,
        blob: PlainBlob | None = None,
        limit: int = MAX_LAYER_SIZE,
        userxattr: bool = False,
    ) -> None:
        self._compression = compression
        self._blob = blob
        self._limit = limit
        self._decompressor: Decompressor | None = None
        self._prefix = b""
        self._batch: list[bytes] = []
        self._batched = 0
        self._conveyor: Conveyor[list[bytes]] | None = None
        self._is_helped = False
        self._tar = TarWriter(directory, userxattr=userxattr)

    def write(self, chunk: bytes) -> None:
        """Take the next bytes of the blob.

        Raises `InvalidLayer`, `LimitExceeded` or `UnsupportedContent` for a bad blob, perhaps some chunks
        late, and `StorageError`; after that only `abort` makes sense.
        """
        if self._decompressor is None:
            self._prefix += chunk
            if len(self._prefix) >= MAGIC_SIZE:
                self._begin()
        else:
            self._pass_on(self._decompressor, chunk)

    def finish(self) -> LayerFacts:
        """The facts, once tar and index are complete. Raises like `write`."""
        stream = self._decompressor or self._begin()
        stream.finish()
        self._send()
        if self._conveyor is not None:
            self._conveyor.close()
        elif self._tar.size >= LARGE:
            self._is_helped = _help.acquire()
            self._tar.start_indexer()
        diff_id, facts = self._tar.finish()
        self._end_help()
        return LayerFacts(diff_id, facts.size, facts.entries)

    def abort(self) -> None:
        """Give up: thread and process are ended, files closed. Idempotent, also after `finish`."""
        if self._conveyor is not None:
            self._conveyor.abandon()
        self._tar.abort()
        self._end_help()

    def __enter__(self) -> "LayerWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abort()

    def _begin(self) -> Decompressor:
        """Choose the decompressor by the first bytes, and give it those."""
        compression = self._compression or detect(self._prefix)
        if compression == "none" and self._blob is not None:
            self._tar.share(self._blob)
        stream = decompressor(compression, limit=self._limit)
        self._decompressor = stream
        self._pass_on(stream, self._prefix)
        self._prefix = b""
        return stream

    def _pass_on(self, stream: Decompressor, chunk: bytes) -> None:
        for data in stream.decompress(chunk):
            self._batch.append(data)
            self._batched += len(data)
            if self._batched >= _BATCH:
                self._send()

    def _send(self) -> None:
        batch, self._batch, self._batched = self._batch, [], 0
        if self._conveyor is not None:
            self._conveyor.put(batch)
            return
        self._tar.append(batch)
        if self._tar.size >= LARGE and _help.acquire(blocking=False):
            self._is_helped = True
            self._tar.start_indexer()
            keep_freed_memory()
            self._conveyor = Conveyor(self._tar.append, depth=_WAITING_BATCHES)

    def _end_help(self) -> None:
        if self._is_helped:
            self._is_helped = False
            _help.release()
