"""Work on one blob: resumed where an earlier process broke off, shared with those at it just now.

``ingest/ALGORITHM-HEX/`` holds ``lock``, ``blob`` (as far as it came), ``layer/`` (what the driver makes
of it on the way) and, once the bytes are verified, ``done``. Who works holds the lock alone; who has
it verified holds the lock shared until its transaction commits. So a second process that wants the blob
waits for the first one's work, and then adopts it: one download, one unpack. ``done`` names the boot it
was written in; after a crash of the machine it says nothing, and the bytes are verified again.

Nobody waits in flock(2): two processes that hold one blob and want the other's would then wait for
ever, and a cancelled thread as long as the other process works. Who cannot have the lock at once lets
go and looks again a moment later (`_acquire`).
"""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Protocol, TypeVar

from layerstore.content import CHUNK, Opener, VerifyingReader
from layerstore.dataclass import dataclass
from layerstore.disk.faults import CrashPoint
from layerstore.disk.locks import FileLock, open_lock
from layerstore.disk.publish import sync_descriptor
from layerstore.disk.trees import remove_tree, set_aside
from layerstore.disk.write_behind import DropBehind, WriteBehind
from layerstore.errors import ContentMismatch, InvalidInput, LstoreError, NoSpace, StorageError
from layerstore.oci import mediatype
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.digest import Digest
from layerstore.oci.document import dump, parse_object, text
from layerstore.progress import Progress
from layerstore.tasks import Cancellation, Conveyor

T = TypeVar("T")

_LOOK_AGAIN = 0.02
"""Seconds between two looks at a blob that another process works on: no load, and no wait that one feels."""
_MAX_DONE = 4096

BLOB = "blob"
LAYER = "layer"
"""Names in a directory of finished work, see `Ingested`."""

_BLOB_STARTED = CrashPoint("ingest: some bytes written")
_BLOB_WRITTEN = CrashPoint("ingest: all bytes written")
_DONE = CrashPoint("ingest: marked done")


class Sink(Protocol):
    """What is made of a blob's bytes while they pass by: a layer, unpacked by a driver."""

    def write(self, chunk: bytes) -> object:
        """Take the next bytes of the blob."""
        ...

    def finish(self) -> Digest:
        """The diff_id, once the blob is whole and verified."""
        ...

    def abort(self) -> None:
        """Give up; what was made so far is worthless. Idempotent."""
        ...


class SinkFactory(Protocol):
    """Chooses what is made of a blob."""

    def __call__(self, descriptor: Descriptor, directory: str) -> Sink | None:
        """A sink that writes into `directory`, which exists and is empty; None where nothing is to be made."""
        ...


@dataclass(frozen=True, slots=True)
class Ingested:
    """A verified blob that waits for its transaction; the lock is held, shared, until `close`."""

    descriptor: Descriptor
    directory: str
    diff_id: Digest | None
    lock: FileLock

    @property
    def blob(self) -> str:
        """The file with the blob's bytes."""
        return os.path.join(self.directory, BLOB)

    @property
    def layer(self) -> str:
        """The directory that the driver filled; there if `diff_id` is."""
        return os.path.join(self.directory, LAYER)


@dataclass(frozen=True, slots=True)
class Workshop:
    """What all work on blobs in one transaction shares."""

    boot: str
    progress: Progress
    sinks: SinkFactory
    cancellation: Cancellation

    def obtain(
        self, descriptor: Descriptor, directory: str, opener: Opener, is_there: Callable[[], bool]
    ) -> Ingested | None:
        """The verified blob, made here or by another process; None where `is_there` says it needs no work.

        Bytes that fail verification are dropped and `ContentMismatch` raised; after any other failure
        they stay for the next one to resume, unless the disk is full. Raises ``OSError``, `Cancelled`.
        """
        while True:
            lock = _acquire(directory, self.boot, self.cancellation)
            try:
                if is_there():
                    _discard_unless_shared(directory, lock)
                    lock.close()
                    return None
                mark = self._adopt(descriptor, directory) or self._work(descriptor, directory, opener)
                lock.shared()
                if lock.is_current():  # else a collection came between the two kinds of lock
                    return Ingested(descriptor, directory, mark.diff_id, lock)
                lock.close()
            except BaseException:
                lock.close()
                raise

    def _adopt(self, descriptor: Descriptor, directory: str) -> "_Mark | None":
        mark = _read_done(directory, self.boot)
        if mark is not None:
            size = _size(os.path.join(directory, BLOB))
            if size not in (0, descriptor.size):  # 0 where a crash came after the blob went to its place
                raise ContentMismatch(f"{descriptor.digest} has {size} bytes, not {descriptor.size}")
            self.progress.phase(descriptor.digest.short, "exists", descriptor.size)
        return mark

    def _work(self, descriptor: Descriptor, directory: str, opener: Opener) -> "_Mark":
        try:
            return self._resume(descriptor, directory, opener)
        except (OSError, NoSpace) as error:
            if isinstance(error, NoSpace) or error.errno in (errno.ENOSPC, errno.EDQUOT):
                discard(directory)
            raise

    def _resume(self, descriptor: Descriptor, directory: str, opener: Opener) -> "_Mark":
        had_prefix = _size(os.path.join(directory, BLOB)) > 0
        try:
            return self._receive(descriptor, directory, opener)
        except ContentMismatch:
            if not had_prefix:
                raise
            self.progress.note(f"{descriptor.digest.short}: the kept part is damaged, starting over")
            return self._receive(descriptor, directory, opener)

    def _receive(self, descriptor: Descriptor, directory: str, opener: Opener) -> "_Mark":
        with open(os.path.join(directory, BLOB), "a+b", buffering=0) as blob:
            sink = self.sinks(descriptor, _fresh_layer(directory))
            watched = _WatchedSink(sink)
            # What is not compressed is the layer's tar as well: its indexer is the last to read it.
            drop = DropBehind(blob.fileno()) if _is_compressed(descriptor) else None
            try:
                self._fill(blob.fileno(), descriptor, opener, watched, drop)
                _BLOB_WRITTEN.reach()
                diff_id = _synced_meanwhile(blob.fileno(), watched.finish)
                if drop is not None:
                    drop.end()
            except BaseException as error:
                watched.abort()
                if isinstance(error, ContentMismatch):
                    os.ftruncate(blob.fileno(), 0)
                raise
        mark = _Mark(diff_id)
        mark.write(directory, self.boot)
        _DONE.reach()
        return mark

    def _fill(
        self, blob: int, wanted: Descriptor, opener: Opener, sink: "_WatchedSink", drop: DropBehind | None
    ) -> None:
        key = wanted.digest.short
        if os.fstat(blob).st_size > wanted.size:
            os.ftruncate(blob, 0)
        have = os.fstat(blob).st_size
        self.progress.phase(key, "resuming" if have else "downloading", wanted.size)
        behind = WriteBehind(blob)
        reader = VerifyingReader(_Continuation(blob, have, opener, wanted.size), wanted)
        for chunk in iter(partial(reader.read, CHUNK), b""):
            self.cancellation.check()
            if reader.count > have:
                _write_all(blob, chunk)
                _BLOB_STARTED.reach()
                behind.advance(reader.count)
                if drop is not None:
                    drop.advance(reader.count)
            sink.write(chunk)
            self.progress.advance(key, len(chunk))


def _is_compressed(descriptor: Descriptor) -> bool:
    """Whether it says so: what is compressed is unpacked on its way in, and its own bytes are read again by few."""
    return mediatype.layer_compression(descriptor.media_type) in ("gzip", "zstd")


def _synced_meanwhile(blob: int, finish: Callable[[], T]) -> T:
    """What `finish` gives; the blob is durable then. Its thread waits for the disk while a layer is indexed."""
    syncing = Conveyor(sync_descriptor, depth=1)
    try:
        syncing.put(blob)
        result = finish()
    except BaseException:
        syncing.abandon()
        raise
    syncing.close()
    return result


class _WatchedSink:
    """A sink whose failure waits until the blob's digest is known.

    Bytes that are not what the digest says fail to unpack too, and then the digest is the news: it is
    what makes us drop them. What the disk says is news at once.
    """

    def __init__(self, sink: Sink | None) -> None:
        self._sink = sink
        self._failure: LstoreError | None = None

    def write(self, chunk: bytes) -> None:
        if self._sink is None or self._failure is not None:
            return
        try:
            self._sink.write(chunk)
        except StorageError:
            raise
        except LstoreError as error:
            self._failure = error

    def finish(self) -> Digest | None:
        if self._failure is not None:
            raise self._failure
        return None if self._sink is None else self._sink.finish()

    def abort(self) -> None:
        if self._sink is not None:
            self._sink.abort()


def _fresh_layer(directory: str) -> str:
    path = os.path.join(directory, LAYER)
    remove_tree(path)
    os.mkdir(path, 0o755)
    return path


def blob_beside(layer: str) -> str:
    """The file of the blob from which the directory `layer` is made: it has each chunk before the sink does."""
    return os.path.join(os.path.dirname(layer), BLOB)


def _size(path: str) -> int:
    try:
        return os.stat(path, follow_symlinks=False).st_size
    except FileNotFoundError:
        return 0


class _Continuation:
    """A stream of the kept prefix, then of what the source has beyond it; it is asked only when needed."""

    def __init__(self, blob: int, have: int, opener: Opener, size: int) -> None:
        self._stream = self._chunks(blob, have, opener, size)

    def read(self, _size: int, /) -> bytes:
        return next(self._stream, b"")

    @staticmethod
    def _chunks(blob: int, have: int, opener: Opener, size: int) -> Iterator[bytes]:
        position = 0
        while position < have:
            chunk = os.pread(blob, min(CHUNK, have - position), position)
            position += len(chunk)
            yield chunk
        if have == size:
            return
        with opener(have) as stream:
            yield from iter(partial(stream.read, CHUNK), b"")


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


@dataclass(frozen=True, slots=True)
class _Mark:
    """The file ``done``: the blob is verified, and this is its layer's diff_id."""

    diff_id: Digest | None

    def write(self, directory: str, boot: str) -> None:
        mark = {"boot": boot, "diff_id": str(self.diff_id) if self.diff_id else ""}
        with open(os.path.join(directory, "done"), "wb") as stream:
            stream.write(dump(mark))


def _read_done(directory: str, boot: str) -> _Mark | None:
    try:
        with open(os.path.join(directory, "done"), "rb") as stream:
            source = parse_object(stream.read(_MAX_DONE), "ingest mark")
        if text(source, "boot") != boot:
            return None
        diff_id = text(source, "diff_id")
        return _Mark(Digest.parse(diff_id) if diff_id else None)
    except (FileNotFoundError, InvalidInput):
        return None


def _acquire(directory: str, boot: str, cancellation: Cancellation) -> FileLock:
    """The lock of `directory`: alone where there is work to do, in any way where it is done.

    Raises `Cancelled`, ``OSError``.
    """
    while True:
        with suppress(FileExistsError):
            os.mkdir(directory, 0o700)
        try:
            lock = open_lock(os.path.join(directory, "lock"))
        except FileNotFoundError:  # its transaction committed, or it was collected, between the two calls
            continue
        try:
            is_ours = lock.try_exclusive() or (lock.try_shared() and _read_done(directory, boot) is not None)
            if is_ours and lock.is_current():
                return lock
        except BaseException:
            lock.close()
            raise
        lock.close()
        cancellation.pause(_LOOK_AGAIN)


def _discard_unless_shared(directory: str, lock: FileLock) -> None:
    """Discard work that came too late; who adopted it may still want the layer, and discards it later."""
    if lock.try_exclusive() and lock.is_current():
        discard(directory)


def discard(directory: str) -> None:
    """Remove the work in `directory`, all at once for whoever looks at its lock. Idempotent.

    The caller holds its lock, alone or else under the store lock.
    """
    with suppress(FileNotFoundError):
        remove_tree(set_aside(directory))
