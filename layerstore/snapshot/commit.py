"""A new layer of our own, from an active snapshot's changes or from members put together, in one pass.

Members are encoded, hashed, written and indexed as they come; nothing is read back, and nothing is packed
twice. The layer's blob is its tar itself, uncompressed, and a second name of the same file
(docs/adr/0005-built-layers-are-not-compressed.md): equal members give equal digests on every machine.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from itertools import chain
from typing import Final

from layerstore.dataclass import dataclass
from layerstore.errors import storage_error
from layerstore.layer.diff import diff, members
from layerstore.layer.entry import Entry
from layerstore.layer.files import TAR
from layerstore.layer.ingest import LARGE
from layerstore.layer.pack import Member, pieces
from layerstore.layer.tar_writer import TarWriter
from layerstore.oci import mediatype
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.digest import Digest
from layerstore.store import forms
from layerstore.store.ingest import BLOB, LAYER
from layerstore.store.transaction import Transaction
from layerstore.tasks import Conveyor

_BATCH: Final = 512 << 10
_WAITING_BATCHES: Final = 4
_MANY: Final = 128

Restore = Callable[[Entry], Entry]
"""Makes of an entry that was copied up what it was before."""


@dataclass(frozen=True, slots=True)
class NewLayer:
    """A layer that was just made: its digest, which is its diff_id too, and its bytes."""

    diff_id: Digest
    size: int

    @property
    def descriptor(self) -> Descriptor:
        """What a manifest says of it."""
        return Descriptor(mediatype.OCI_LAYER, self.diff_id, self.size)


def commit_changes(
    upper: int,
    lower: int | None,
    directory: str,
    *,
    userxattr: bool,
    clamp: int | None = None,
    restored: Restore | None = None,
) -> NewLayer | None:
    """What the upper directory changes of the merged `lower`, as a layer in `directory`; None where it is nothing.

    Both are descriptors of directories, see `layerstore.layer.diff.diff`; nobody writes to the upper one
    meanwhile. `restored` gives back to entries what the unpacked lower could not hold, an ordinary user's
    directories having one owner. Raises what `diff` and `write_layer` raise.
    """
    changes = diff(upper, lower, userxattr=userxattr)
    if restored is not None:
        changes = (change._replace(entry=restored(change.entry)) for change in changes)
    return write_layer(members(changes), directory, clamp=clamp)


def write_layer(changes: Iterable[Member], directory: str, *, clamp: int | None = None) -> NewLayer | None:
    """Write the layer of `changes`, in their order, for `adopt`; None, and nothing written, where there are none.

    `directory` is empty and on the store's file system. Times later than `clamp`, seconds since the epoch,
    become that. Nothing is synced. Raises what `pack.pieces` raises, and `StorageError`.
    """
    remaining = iter(changes)
    first = next(remaining, None)
    if first is None:
        return None
    layer = os.path.join(directory, LAYER)
    try:
        os.mkdir(layer, 0o755)
        forms.begin(layer)
        new = _write(chain((first,), remaining), layer, clamp)
        os.link(os.path.join(layer, TAR), os.path.join(directory, BLOB))
    except OSError as error:
        raise storage_error(error, f"write a layer to {directory}") from error
    return new


def adopt(transaction: Transaction, layer: NewLayer, directory: str) -> None:
    """Let `transaction` have what `write_layer` left in `directory`, which is empty after its commit."""
    transaction.adopt(layer.descriptor, layer.diff_id, directory)


def _write(changes: Iterable[Member], layer: str, clamp: int | None) -> NewLayer:
    with ExitStack() as stack:
        tar = TarWriter(layer, is_read_soon=True)  # by the build's next step
        stack.callback(tar.abort)
        sink = _Sink(tar)
        stack.callback(sink.abandon)
        batch, batched = [], 0
        for piece in pieces(sink.counted(changes), clamp):
            batch.append(piece)
            batched += len(piece)
            if batched >= _BATCH:
                sink.put([b"".join(batch)])
                batch, batched = [], 0
        sink.put([b"".join(batch)])
        sink.close()
        diff_id, facts = tar.finish()
    return NewLayer(diff_id, facts.size)


class _Sink:
    """Passes batches on: to the tar itself at first, to a thread of its own once the layer has become large.

    So it is also by many files in its first batches: their index then takes longer than starting a process for it.
    """

    def __init__(self, tar: TarWriter) -> None:
        self._tar = tar
        self._members = 0
        self._conveyor: Conveyor[list[bytes]] | None = None

    def counted(self, changes: Iterable[Member]) -> Iterator[Member]:
        """`changes`, as they are taken."""
        for self._members, change in enumerate(changes, 1):
            yield change

    def put(self, batch: list[bytes]) -> None:
        if self._conveyor is not None:
            self._conveyor.put(batch)
            return
        self._tar.append(batch)
        if self._tar.size >= LARGE or (self._members >= _MANY and self._tar.size >= _BATCH):
            self._tar.start_indexer()
            self._conveyor = Conveyor(self._tar.append, depth=_WAITING_BATCHES)

    def close(self) -> None:
        if self._conveyor is not None:
            self._conveyor.close()

    def abandon(self) -> None:
        if self._conveyor is not None:
            self._conveyor.abandon()
