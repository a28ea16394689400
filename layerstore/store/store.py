"""One store: its parts put together, and the few operations that concern all of them."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from layerstore.disk import locks
from layerstore.errors import storage_error
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.platform import Platform
from layerstore.progress import SILENT, Progress
from layerstore.store import leases
from layerstore.store.blobs import Blobs
from layerstore.store.ingest import Sink, SinkFactory, Workshop
from layerstore.store.layers import Layers, read_boot_id
from layerstore.store.layout import Layout
from layerstore.store.refs import RefStore, RefTable
from layerstore.store.transaction import Transaction
from layerstore.tasks import Cancellation


def keep_packed(descriptor: Descriptor, directory: str) -> Sink | None:
    """A `SinkFactory` that makes nothing of any blob."""
    return None


class Store:
    """The store at one root. Made by `open_store`. Blobs are read through `blobs`, a `Source`."""

    def __init__(self, layout: Layout, platform: Platform, boot: str) -> None:
        self.layout = layout
        self.platform = platform
        self.refs = RefStore(layout)
        self.blobs = Blobs(layout, self.refs, platform)
        self.layers = Layers(layout, boot)
        self._boot = boot

    def transaction(
        self,
        sinks: SinkFactory = keep_packed,
        progress: Progress = SILENT,
        cancellation: Cancellation | None = None,
    ) -> Transaction:
        """A new transaction, to be used as a context manager; `sinks` says what becomes of layers' blobs.

        Its cancellation is `cancellation`, where the work shares that with others, or else one of its own.
        Raises `StorageError`.
        """
        workshop = Workshop(self._boot, progress, sinks, cancellation or Cancellation())
        try:
            return Transaction(self.layout, self.blobs, self.refs, self.layers, workshop)
        except OSError as error:
            raise storage_error(error, f"write to the store at {self.layout.root}") from error

    @contextmanager
    def holding(self, *roots: Descriptor) -> Iterator[None]:
        """Keep collections away from these graphs while the block reads them. Raises `StorageError`.

        A store that we may only read is read all the same.
        """
        with ExitStack() as stack:
            try:
                stack.enter_context(leases.holding(self.layout, roots))
            except OSError as error:
                if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                    raise storage_error(error, f"hold content of the store at {self.layout.root}") from error
            yield

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the store lock alone, for a short story without network.

        Raises `StorageError`, also for an ``OSError`` of the block.
        """
        try:
            with locks.exclusive(self.layout.lock):
                yield
        except OSError as error:
            raise storage_error(error, f"change the store at {self.layout.root}") from error

    def update_refs(self, change: Callable[[RefTable], RefTable]) -> RefTable:
        """Durably replace the refs by what `change` makes of them. Raises `StorageError`, `StoreDamaged`."""
        with self.locked():
            return self.refs.update(change)


def open_store(root: str, platform: Platform) -> Store:
    """The store at `root`, made where it is missing. Raises `StorageError`, `StoreDamaged`."""
    layout = Layout(os.path.abspath(root))
    layout.create()
    return Store(layout, platform, read_boot_id())
