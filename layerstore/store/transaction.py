"""One change to the store: staged writes that appear together. docs/ordering.md states the order as prose.

A transaction is a `Target`, so `layerstore.copy` writes into it as into any other. Blobs are worked on
under their own locks while nothing else is held (`layerstore.store.ingest`); `commit` then takes the
store lock for a few renames: layers; leaves, directories; manifests, directories; refs last.
"""

import os
import threading
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from types import TracebackType

from layerstore.content import CHUNK, Opener, Readable, VerifyingReader, has_children, opened_bytes
from layerstore.disk import locks
from layerstore.disk.faults import CrashPoint
from layerstore.disk.locks import open_lock
from layerstore.disk.publish import (
    make_directories,
    move,
    remove_file,
    stage_bytes,
    sync_directory,
    sync_file,
)
from layerstore.errors import Conflict, ContentMismatch, LimitExceeded, storage_error
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.digest import Digest
from layerstore.oci.document import MAX_DOCUMENT
from layerstore.oci.reference import Reference
from layerstore.store import ingest
from layerstore.store.blobs import Blobs
from layerstore.store.closure import ClosureReader
from layerstore.store.layers import Identity, Layers
from layerstore.store.layout import Layout
from layerstore.store.leases import Lease
from layerstore.store.refs import Ref, RefStore, RefTable

_LAYERS = CrashPoint("commit: layers published")
_STAGED = CrashPoint("commit: documents staged")
_LEAF = CrashPoint("commit: one leaf renamed")
_LEAVES = CrashPoint("commit: leaves durable")
_MANIFEST = CrashPoint("commit: one manifest renamed")
_MANIFESTS = CrashPoint("commit: manifests durable")
_REFS = CrashPoint("commit: refs durable")


class Transaction:
    """Use as a context manager; without a `commit` the block leaves nothing but work to resume.

    Whoever sets its `cancellation` ends its work within a chunk's time: give it to `layerstore.copy.copy`.
    """

    def __init__(
        self,
        layout: Layout,
        blobs: Blobs,
        refs: RefStore,
        layers: Layers,
        workshop: ingest.Workshop,
    ) -> None:
        self._layout = layout
        self._blobs = blobs
        self._refs = refs
        self._layers = layers
        self._workshop = workshop
        with locks.shared(layout.lock):
            self._lease = Lease(layout)
        self.cancellation = workshop.cancellation
        self._mutex = threading.Lock()
        self._ingested: dict[Digest, ingest.Ingested] = {}
        self._documents: dict[Digest, bytes] = {}
        self._new_refs: list[Ref] = []

    def __enter__(self) -> "Transaction":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for each in self._ingested.values():
            each.lock.close()
        self._ingested.clear()
        self._lease.close()

    def resolve(self, name: str) -> Descriptor:
        """The root of a ref that was there before this transaction."""
        return self._blobs.resolve(name)

    def fetch(self, descriptor: Descriptor, offset: int = 0) -> AbstractContextManager[Readable]:
        """Content of the store, or of this transaction."""
        if descriptor.digest in self._documents:
            return opened_bytes(self._documents[descriptor.digest], offset)
        with self._mutex:
            ours = self._ingested.get(descriptor.digest)
        if ours is None:
            return self._blobs.fetch(descriptor, offset)
        paths = (ours.blob, self._layout.blob(descriptor.digest))  # who shares our work may commit any time
        return self._blobs.open_file(paths, descriptor, offset)

    def has(self, descriptor: Descriptor) -> bool:
        """Whether the content is there, in the store or in this transaction; from now on it stays.

        Raises `StorageError`, and `ContentMismatch` where it was verified to have another size.
        """
        return self._is_ours(descriptor) or self._is_stored(descriptor)

    def _is_ours(self, descriptor: Descriptor) -> bool:
        with self._mutex:
            ours = self._ingested.get(descriptor.digest)
        if ours is None and descriptor.digest not in self._documents:
            return False
        size = len(self._documents[descriptor.digest]) if ours is None else ours.descriptor.size
        if size != descriptor.size:
            raise ContentMismatch(f"{descriptor.digest} has {size} bytes, not {descriptor.size}")
        return True

    def _is_stored(self, descriptor: Descriptor) -> bool:
        try:
            with locks.shared(self._layout.lock), self._mutex:
                self._lease.hold(descriptor)
        except OSError as error:
            raise storage_error(error, f"hold content of the store at {self._layout.root}") from error
        there = self._blobs.has_graph(descriptor)
        if there:
            self._workshop.progress.phase(descriptor.digest.short, "exists", descriptor.size)
        return there

    def push(self, descriptor: Descriptor, opener: Opener) -> None:
        """Take the content in: manifests are kept in memory until `commit`, blobs go through an ingest.

        Raises `ContentMismatch`, `LimitExceeded`, `StorageError`, and what `opener` raises.
        """
        if self._is_ours(descriptor):
            return
        if has_children(descriptor):
            self._documents[descriptor.digest] = _read_document(descriptor, opener)
            return
        work = partial(self._is_stored, descriptor)
        directory = self._layout.ingest(descriptor.digest)
        try:
            ours = self._workshop.obtain(descriptor, directory, opener, work)
        except OSError as error:
            raise storage_error(error, f"write blob {descriptor.digest} to {self._layout.root}") from error
        if ours is not None:
            with self._mutex:
                self._ingested[descriptor.digest] = ours
            self._workshop.progress.phase(descriptor.digest.short, "done")

    def adopt(self, descriptor: Descriptor, diff_id: Digest, directory: str) -> None:
        """Take the layer that was made in `directory`, laid out as `ingest.Ingested` says: its blob and its directory.

        Who made it vouches for the digests. `commit` empties the directory. Raises `StorageError`.
        """
        try:
            lock = open_lock(os.path.join(directory, "lock"))
            made = ingest.Ingested(descriptor, directory, diff_id, lock)
            with self._mutex:
                self._ingested[descriptor.digest] = made
            lock.shared()
            sync_file(made.blob)
            with locks.shared(self._layout.lock), self._mutex:
                self._lease.hold(descriptor)
        except OSError as error:
            raise storage_error(error, f"take the layer in {directory}") from error

    def tag(self, descriptor: Descriptor, name: str) -> None:
        """Let the image `name` stand for `descriptor` once this commits."""
        self.set_ref(Ref(Reference.parse(name), descriptor))

    def set_ref(self, ref: Ref) -> None:
        """Let `ref` hold once this commits; its whole graph is in the store or in this transaction."""
        self._new_refs.append(ref)

    @property
    def layers(self) -> dict[Digest, str]:
        """The directory of each layer that was unpacked for this transaction, by diff_id; gone after `commit`."""
        with self._mutex:
            return {each.diff_id: each.layer for each in self._ingested.values() if each.diff_id is not None}

    @property
    def diff_ids(self) -> dict[Digest, Digest]:
        """The diff_id of each layer that was unpacked for this transaction, by the digest of its blob."""
        with self._mutex:
            return {
                digest: each.diff_id for digest, each in self._ingested.items() if each.diff_id is not None
            }

    def commit(self) -> None:
        """Make everything durable and visible.

        Raises `StorageError`, and `Conflict` where another process repaired content away that a new ref
        needs; then no ref has changed.
        """
        synced = self._layers.sync_old()
        try:
            with locks.exclusive(self._layout.lock):
                self._publish_layers(synced)
                self._publish_leaves()
                self._publish_manifests()
                self._check_refs()
                self._refs.update(self._with_new_refs)
                _REFS.reach()
                for each in self._ingested.values():
                    if each.lock.is_current():
                        ingest.discard(each.directory)
        except OSError as error:
            raise storage_error(error, f"commit to the store at {self._layout.root}") from error

    def _publish_layers(self, synced: Mapping[Digest, Identity]) -> None:
        """Layers come before the blobs they were made of: who finds the blob looks no more for work on it."""
        self._layers.publish(self.layers, synced)
        for blob, diff_id in self.diff_ids.items():
            self._layers.note_made_of(diff_id, blob)
        _LAYERS.reach()

    def _publish_leaves(self) -> None:
        for digest, each in self._ingested.items():
            if not self._blobs.has(each.descriptor):
                make_directories(self._layout.blobs(digest.algorithm))
                move(each.blob, self._layout.blob(digest))
                _LEAF.reach()
        self._sync(self._ingested)
        _LEAVES.reach()

    def _publish_manifests(self) -> None:
        staged: dict[Digest, str] = {}
        try:
            for digest, data in self._documents.items():
                make_directories(self._layout.blobs(digest.algorithm))
                staged[digest] = stage_bytes(self._layout.blob(digest), data)
            _STAGED.reach()
            for digest in self._documents:
                move(staged[digest], self._layout.blob(digest))
                del staged[digest]
                _MANIFEST.reach()
        finally:
            for path in staged.values():
                remove_file(path)
        self._sync(self._documents)
        _MANIFESTS.reach()

    def _sync(self, digests: Iterable[Digest]) -> None:
        for algorithm in {digest.algorithm for digest in digests}:
            sync_directory(self._layout.blobs(algorithm))

    def _check_refs(self) -> None:
        for ref in self._new_refs:
            for node, reason in self._blobs.missing(ref.descriptor):
                raise Conflict(f"cannot name {ref.name or ref.descriptor}: {node.digest} {reason}")

    def _with_new_refs(self, table: RefTable) -> RefTable:
        reader = ClosureReader(self._blobs)
        for ref in self._new_refs:
            table = table.with_ref(ref, reader.of(ref.descriptor).manifests)
        return table


def _read_document(descriptor: Descriptor, opener: Opener) -> bytes:
    if descriptor.size > MAX_DOCUMENT:
        raise LimitExceeded(
            f"{descriptor.digest} has {descriptor.size} bytes, over the limit of {MAX_DOCUMENT}"
        )
    with opener(0) as stream:
        reader = VerifyingReader(stream, descriptor)
        return b"".join(iter(partial(reader.read, CHUNK), b""))
