"""Where one build works: its hold on content, its workers, and a place of its own for each step at work."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cached_property, partial
from typing import TYPE_CHECKING

from layerstore.build.cache import BuildCache, StackHold
from layerstore.build.executor import BuildProgress, Root
from layerstore.dataclass import dataclass
from layerstore.disk import locks
from layerstore.disk.locks import FileLock, open_lock
from layerstore.disk.removal import remove_tree, set_aside
from layerstore.errors import storage_error
from layerstore.mount import MountStack
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.digest import Digest
from layerstore.store.leases import Lease
from layerstore.tasks import Cancellation

if TYPE_CHECKING:
    from layerstore.build.root_tree import RootTree
    from layerstore.snapshot.commit import NewLayer
    from layerstore.snapshot.snapshotter import Snapshotter
    from lstore.engine.build.workers import Call, Work, Workers
    from lstore.engine.engine import Engine

_STEP = "build-"
"""What the keys of steps' active snapshots start with."""


@dataclass(frozen=True, slots=True)
class Workplace:
    """One step's: `key` names its active snapshot, `state` and `made` are empty directories."""

    key: str
    state: str
    made: str


class Site:
    """One build's. Made by `opened_site`."""

    def __init__(self, engine: "Engine", progress: BuildProgress, opened: ExitStack) -> None:
        self.engine = engine
        self.progress = progress
        self.cache = BuildCache(engine.store.layout)
        self._opened = opened
        self._workers: Workers | None = None
        self._removals: list[tuple[Call, FileLock]] = []
        self._mutex = threading.Lock()
        self._stacks: StackHold | None = None
        self._trees: dict[tuple[Digest, ...], RootTree] = {}
        with locks.shared(engine.store.layout.lock):
            self._lease = Lease(engine.store.layout)
        opened.callback(self._lease.close)

    def start_workers(self) -> None:
        """Be ready to perform work. To be called before any thread starts. Idempotent."""
        if self._workers is None:
            import lstore.engine.build.step_work  # noqa: F401  # every worker needs it, and has it from here
            from lstore.engine.build.workers import opened_workers

            self.cache.create()
            sweep(self.engine)
            self._workers = self._opened.enter_context(opened_workers())
            self._opened.callback(self._finish_removals)

    @cached_property
    def snapshotter(self) -> "Snapshotter":
        """The snapshots that steps stand on."""
        return self.engine.snapshotter.for_steps()

    @property
    def has_workers(self) -> bool:
        """Whether anything had to be carried out."""
        return self._workers is not None

    def hold(self, descriptor: Descriptor) -> None:
        """Let the content, and what it names, stay until the build ends. Raises `StorageError`."""
        try:
            with locks.shared(self.engine.store.layout.lock), self._mutex:
                self._lease.hold(descriptor)
        except OSError as error:
            raise storage_error(error, f"hold content of the store at {self.engine.root}") from error

    def _hold_stack(self, root: Root) -> None:
        """Let the layers of `root` stay, unpacked and stacked, until the build ends. Raises `StorageError`."""
        try:
            self.cache.create()
            with locks.shared(self.engine.store.layout.lock), self._mutex:
                if self._stacks is None:
                    self._stacks = StackHold(self.cache.holds)
                    self._opened.callback(self._stacks.close)
                self._stacks.hold(root.diff_ids)
        except OSError as error:
            raise storage_error(error, f"hold layers of the store at {self.engine.root}") from error

    def perform(self, work: "Work", vertex: int, cancellation: Cancellation) -> bytes:
        """What `work` answers. Raises what it raised, `Cancelled`."""
        if self._workers is None:
            raise AssertionError("the solver starts workers before it performs tasks")
        return self._workers.perform(work, self._listener(vertex), cancellation)

    def _listener(self, vertex: int) -> Callable[[bytes], None]:
        return partial(self.progress.output, vertex)

    @contextmanager
    def workplace(self) -> Iterator[Workplace]:
        """A place for one step, gone soon after the block, and before the build ends. Raises `StorageError`."""
        try:
            path, lock = _make_step(self.cache.steps)
            place = Workplace(_STEP + os.path.basename(path), f"{path}/state", f"{path}/made")
            os.mkdir(place.state, 0o711)
            os.mkdir(place.made, 0o711)
        except OSError as error:
            raise storage_error(error, f"make a place for a build step in {self.cache.steps}") from error
        try:
            yield place
        finally:
            self._clear(path, lock)

    def _clear(self, path: str, lock: FileLock) -> None:
        """Remove the place of a step, beside the next one where it ran a command, and then let its lock go."""
        _end(path)
        active = os.path.join(self.engine.store.layout.snapshots, "active", _STEP + os.path.basename(path))
        if self._workers is None or (os.geteuid() == 0 and not os.path.isdir(active)):
            _remove(self.engine, path)
            lock.close()
            return
        from lstore.engine.build.step_work import RemoveWork

        call = self._workers.begin(RemoveWork((active, path)))
        with self._mutex:
            self._removals.append((call, lock))

    def _finish_removals(self) -> None:
        with ExitStack() as last:
            for call, lock in self._removals:
                last.callback(lock.close)
                last.callback(call.finish, _ignore, Cancellation())

    def keep(self, layer: "NewLayer | None", made: str) -> Descriptor | None:
        """The layer that was made in the directory `made`, now durable in the store. Raises `StorageError`."""
        if layer is None:
            return None
        from layerstore.snapshot.commit import adopt

        self.hold(layer.descriptor)
        with self.engine.store.transaction() as transaction:
            adopt(transaction, layer, made)
            transaction.commit()
        return layer.descriptor

    def view(self, root: Root) -> MountStack:
        """The read-only stack of `root`, ready to be mounted. Raises `StorageError`."""
        self._hold_stack(root)
        if not root.diff_ids:
            return MountStack((), userxattr=self.engine.driver_choice.driver.needs_userxattr)
        self.snapshotter.ensure_stack(root.layers, root.diff_ids)
        return self.snapshotter.view(root.diff_ids)

    @property
    def keeps_owners(self) -> bool:
        """Whether the files of unpacked layers have their own owners."""
        return self.engine.driver_choice.driver.keeps_owners

    def owners(self, root: Root) -> tuple[str, ...] | None:
        """The directories of the layers of `root`, where its files have lost their owners.

        Raises as `layer_paths` does.
        """
        return None if self.keeps_owners else self.layer_paths(root)

    def layer_paths(self, root: Root) -> tuple[str, ...]:
        """The directories of the layers of `root`, unpacked where they were not.

        Raises `StorageError`, and as `Snapshotter.ensure_layers` does.
        """
        self._hold_stack(root)
        self.engine.snapshotter.ensure_layers(root.layers, root.diff_ids)
        return tuple(self.engine.store.layers.path(each) for each in root.diff_ids)

    @contextmanager
    def tree(self, root: Root) -> Iterator["RootTree"]:
        """The tree of `root`; it grows out of one that an earlier step had, where there is one.

        Raises as `layer_paths` does, and `StoreDamaged`.
        """
        from layerstore.build.root_tree import RootTree

        paths = self.layer_paths(root)
        with self._mutex:
            known = [count for count in range(len(paths), 0, -1) if root.diff_ids[:count] in self._trees]
            start = known[0] if known else 0
            tree = self._trees.pop(root.diff_ids[:start]) if known else RootTree()
        for path in paths[start:]:
            tree.add(path)
        yield tree
        with self._mutex:
            self._trees[root.diff_ids] = tree


@contextmanager
def opened_site(engine: "Engine", progress: BuildProgress) -> Iterator[Site]:
    """A site for the block; no process and nothing of its steps is left after it."""
    with ExitStack() as opened:
        yield Site(engine, progress, opened)


def _make_step(home: str) -> tuple[str, FileLock]:
    while True:
        path = os.path.join(home, os.urandom(8).hex())
        os.mkdir(path, 0o711)
        try:
            lock = open_lock(os.path.join(path, "lock"))
        except FileNotFoundError:  # another build took the directory for an abandoned one
            continue
        if lock.try_exclusive() and lock.is_current():
            return path, lock
        lock.close()


def sweep(engine: "Engine") -> None:
    """Remove what killed builds left. To be called before any thread starts. Raises `StorageError`, `LaunchError`."""
    from runner.mapped import call_mapped

    for path in BuildCache(engine.store.layout).abandoned_steps():
        _end(path)
        call_mapped(partial(_remove_abandoned, engine, path))


def _end(path: str) -> None:
    """End what still runs of the step at `path`, and remove its control group: its own process may be killed."""
    from runner import cgroups

    cgroups.remove(f"{path}/state")


def _remove(engine: "Engine", path: str) -> None:
    """A step's directory goes last, so that what is left of a removal is found again."""
    engine.snapshotter.remove(_STEP + os.path.basename(path))
    remove_tree(path)


def _remove_abandoned(engine: "Engine", path: str) -> None:
    """As `_remove`; whoever made the directory just now, and has no lock of it yet, finds it gone and makes another."""
    engine.snapshotter.remove(_STEP + os.path.basename(path))
    with suppress(FileNotFoundError):
        remove_tree(set_aside(path))


def _ignore(data: bytes) -> None:
    """Removals write nothing."""
