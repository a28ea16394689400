"""Snapshots: committed ones named by chain id, active ones by key. Stage "snapshot" of docs/flow.md.

    ROOT/snapshots/HOME/ALGORITHM-HEX/     what the driver assembled for the stack of that chain id
    ROOT/snapshots/active/KEY/             upper, work, and parent: what can be written

A committed snapshot is derived from its layers and can be made again at any time. It appears by one
rename, and so whole or not at all. It stands on its layers as long as its image or an active
snapshot does.
"""

import os
from collections.abc import Sequence, Set
from contextlib import suppress

from layerstore.disk.faults import CrashPoint
from layerstore.disk.publish import move
from layerstore.disk.trees import remove_tree, remove_trees
from layerstore.errors import InvalidInput, NotFound, StoreDamaged, storage_error
from layerstore.mount import MountStack
from layerstore.oci.config import ImageConfig
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.digest import Digest
from layerstore.oci.document import as_text, dump, items, parse_object
from layerstore.oci.manifest import MAX_LAYERS, Manifest
from layerstore.progress import SILENT, Progress
from layerstore.snapshot.active import PARENT, make_active, stack_at
from layerstore.snapshot.chain import chain_id
from layerstore.snapshot.driver import Driver, RootAttributes
from layerstore.snapshot.unpack import check_blob, unpack_blob
from layerstore.store.layout import parse_name
from layerstore.store.staging import staged
from layerstore.store.store import Store

_ACTIVE = "active"
_MAX_PARENT = 1 << 20

_ASSEMBLED = CrashPoint("snapshot: assembled, not visible")
_COMMITTED = CrashPoint("snapshot: committed")


class Snapshotter:
    """The snapshots of one store, in one driver's form."""

    def __init__(self, store: Store, driver: Driver, *others: "Snapshotter") -> None:
        """With `others`, the driver builds on what they have, too."""
        self._store = store
        self.driver = driver
        self._sources = (self, *others)

    def for_steps(self) -> "Snapshotter":
        """The snapshots of builds' steps, perhaps these, in the same store."""
        driver = self.driver.for_steps()
        return self if driver is self.driver else Snapshotter(self._store, driver, self)

    def ensure(self, manifest: Manifest, config: ImageConfig, progress: Progress = SILENT) -> None:
        """Let the image's committed snapshot be there, unpacking what layers are missing. Idempotent.

        Raises `InvalidLayer`, `InvalidDocument` where manifest and configuration disagree, `StorageError`.
        """
        config.check_layers(len(manifest.layers))
        self.ensure_stack(manifest.layers, config.diff_ids, progress)

    def ensure_stack(
        self, layers: Sequence[Descriptor], diff_ids: Sequence[Digest], progress: Progress = SILENT
    ) -> None:
        """As `ensure`, for layers that no image has yet; as many as there are `diff_ids`."""
        self.ensure_layers(layers, diff_ids, progress)
        self._assemble(diff_ids)

    def ensure_layers(
        self, layers: Sequence[Descriptor], diff_ids: Sequence[Digest], progress: Progress = SILENT
    ) -> None:
        """Unpack those of these layers that are missing, each on its own. Raises as `ensure` does.

        Those that are there are verified to be what these blobs unpack to, or an image that names one of its
        own blobs and the diff_id of another's layer would show that.
        """
        self._examine_suspects()
        for layer, diff_id in zip(layers, diff_ids, strict=True):
            if self._store.layers.has(diff_id):
                check_blob(self._store, layer, diff_id, progress)
            else:
                unpack_blob(self._store, layer, diff_id, progress)

    def _examine_suspects(self) -> None:
        """After a crash of the machine: verify the layers it may have cut short, once."""
        if not self._store.layers.suspects():
            return
        from layerstore.snapshot.verify import verify_layer  # noqa: PLC0415 - rare, and every command imports us

        with self._store.locked():
            bad = set(self._store.layers.examine(verify_layer))
            if bad:  # what was assembled over them goes too, and is quickly made again
                remove_trees(self._all_committed())

    def _all_committed(self) -> list[str]:
        return [os.path.join(home, name) for home in self._homes() for name in os.listdir(home)]

    def _assemble(self, diff_ids: Sequence[Digest]) -> None:
        path = self._committed(diff_ids)
        if os.path.isdir(path):
            return
        try:
            os.makedirs(self._home(), mode=0o700, exist_ok=True)
            with staged(self._store.layout) as made:
                self.driver.assemble(self._layers(diff_ids), made, self._nearest(diff_ids))
                _ASSEMBLED.reach()
                self._commit(made, path)
        except OSError as error:
            raise storage_error(error, f"write a snapshot to {self._home()}") from error

    def _commit(self, made: str, path: str) -> None:
        with self._store.locked():
            if not os.path.isdir(path):  # else another process was faster
                move(made, path)
        _COMMITTED.reach()

    def _nearest(self, diff_ids: Sequence[Digest]) -> str | None:
        """The committed snapshot, here or in the others, of the longest part of this stack that has one."""
        for count in range(len(diff_ids), 0, -1):
            for source in self._sources:
                path = source._committed(diff_ids[:count])
                if os.path.isdir(path):
                    return path
        return None

    def has(self, diff_ids: Sequence[Digest]) -> bool:
        """Whether the stack's committed snapshot is there with all its layers."""
        return os.path.isdir(self._committed(diff_ids)) and all(map(self._store.layers.has, diff_ids))

    def view(self, diff_ids: Sequence[Digest]) -> MountStack:
        """The read-only stack of these layers, whose committed snapshot is there."""
        lowers = self.driver.lowers(self._layers(diff_ids), self._committed(diff_ids))
        return MountStack(lowers, userxattr=self.driver.needs_userxattr)

    def prepare(self, key: str, diff_ids: Sequence[Digest]) -> MountStack:
        """A new active snapshot `key` on these layers, whose committed snapshot is there.

        Raises `Conflict` where there is one of that key, `StorageError`.
        """
        make_active(self._active(key), parent_document(diff_ids), self.root(diff_ids))
        return self.mounts(key)

    def root(self, diff_ids: Sequence[Digest]) -> RootAttributes:
        """What the root directory of these layers has, whose committed snapshot is there."""
        return self.driver.root(self._layers(diff_ids), self._committed(diff_ids))

    def committed(self, diff_ids: Sequence[Digest]) -> tuple[str, ...]:
        """The directories of the stack's committed snapshots, of every driver that has one."""
        name = os.path.basename(self._committed(diff_ids))
        paths = (os.path.join(home, name) for home in self._homes())
        return tuple(path for path in paths if os.path.isdir(path))

    def needed(self, diff_ids: Sequence[Digest]) -> tuple[str, ...]:
        """The directories that `has` looks for."""
        return (self._committed(diff_ids), *self._layers(diff_ids))

    def mounts(self, key: str) -> MountStack:
        """The stack of the active snapshot `key`; what it stands on is made where the driver has it not.

        Raises `NotFound`, `InvalidLayer`, `StorageError`.
        """
        parent = self.parent(key)
        self._assemble(parent)
        return stack_at(self._active(key), self.view(parent))

    def remove(self, key: str) -> None:
        """Remove the active snapshot `key` with all that was written to it. Idempotent.

        Raises `NotFound` for what cannot be a key, `StorageError`.
        """
        try:
            remove_tree(self._active(key))
        except OSError as error:
            raise storage_error(error, f"remove snapshot {self._active(key)}") from error

    def active(self) -> tuple[str, ...]:
        """The keys of all active snapshots, sorted."""
        try:
            return tuple(sorted(os.listdir(os.path.join(self._store.layout.snapshots, _ACTIVE))))
        except FileNotFoundError:
            return ()

    def held_stacks(self) -> set[tuple[Digest, ...]]:
        """The stacks that active snapshots stand on."""
        found: set[tuple[Digest, ...]] = set()
        for key in self.active():
            with suppress(
                NotFound, StoreDamaged
            ):  # a preparation that broke off: nothing was mounted from it
                found.add(self.parent(key))
        return found

    def unneeded(self, stacks: Set[tuple[Digest, ...]]) -> tuple[str, ...]:
        """The directories of committed snapshots, of every driver, that belong to none of `stacks`."""
        wanted = {chain_id(stack) for stack in stacks}
        found: list[str] = []
        for home in self._homes():
            for name in sorted(os.listdir(home)):
                if parse_name(name) not in wanted:
                    found.append(os.path.join(home, name))
        return tuple(found)

    def _homes(self) -> list[str]:
        root = self._store.layout.snapshots
        return [os.path.join(root, name) for name in sorted(os.listdir(root)) if name != _ACTIVE]

    def parent(self, key: str) -> tuple[Digest, ...]:
        """The layers that the active snapshot `key` stands on. Raises `NotFound`, `StoreDamaged`."""
        try:
            with open(os.path.join(self._active(key), PARENT), "rb") as stream:
                source = parse_object(stream.read(_MAX_PARENT), "snapshot parent")
            return items(source, "diff_ids", lambda value: Digest.parse(as_text(value)), limit=MAX_LAYERS)
        except FileNotFoundError as error:
            raise NotFound(f"no snapshot {key!r}") from error
        except InvalidInput as error:
            raise StoreDamaged(f"snapshot {key!r} is damaged: {error.message}") from error

    def _layers(self, diff_ids: Sequence[Digest]) -> list[str]:
        return [self._store.layers.path(each) for each in diff_ids]

    def _home(self) -> str:
        return os.path.join(self._store.layout.snapshots, self.driver.home)

    def _committed(self, diff_ids: Sequence[Digest]) -> str:
        chain = chain_id(diff_ids)
        return os.path.join(self._home(), f"{chain.algorithm}-{chain.encoded}")

    def _active(self, key: str) -> str:
        if not key or "/" in key or key.startswith("."):
            raise NotFound(f"no snapshot {key!r}")
        return os.path.join(self._store.layout.snapshots, _ACTIVE, key)


def parent_document(diff_ids: Sequence[Digest]) -> bytes:
    """What an active snapshot on these layers says that it stands on."""
    return dump({"diff_ids": [str(each) for each in diff_ids]})
