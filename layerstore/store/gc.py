"""Collection: what nothing refers to any more, as a plan that can be printed, and its execution.

`mark` walks from the refs, from what containers stand on and from the leases of running processes;
`plan_collection` names the rest; `Plan.execute` removes it, what names other content before what is
named, so that a power cut in the middle leaves no manifest without its children. All three happen under
one hold of the store lock, which translates their ``OSError``.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial

from layerstore.dataclass import dataclass, field
from layerstore.disk.faults import CrashPoint
from layerstore.disk.locks import open_lock
from layerstore.disk.publish import TEMPORARY_PREFIX, remove_file, sync_directory
from layerstore.disk.trees import Meter, Usage, remove_tree, set_all_aside
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.digest import Digest
from layerstore.oci.document import MAX_DOCUMENT
from layerstore.store import ingest, leases
from layerstore.store.closure import Closure, ClosureReader, Stack, union
from layerstore.store.layout import parse_name
from layerstore.store.refs import Ref
from layerstore.store.store import Store
from layerstore.tasks import run_all

_SIDE_BY_SIDE = 4
"""Files and directories that are removed at once."""

_MANIFESTS = CrashPoint("gc: manifests removed")
_LAYERS = CrashPoint("gc: snapshots and layers set aside")
_BLOB = CrashPoint("gc: one blob removed")
_INGEST = CrashPoint("gc: one ingest removed")


@dataclass(frozen=True, slots=True)
class Marked:
    """What is alive, and because of whom."""

    by_ref: Mapping[Ref, Closure]
    others: Closure
    """What containers and running processes hold."""
    in_use: frozenset[Digest]
    """The manifests that containers stand on."""
    blobs: frozenset[Digest]
    layers: frozenset[Digest]
    stacks: frozenset[Stack]
    damage: tuple[str, ...]
    """Why some live content could not be read; then nobody knows what it names, and no content is collected."""

    @classmethod
    def of(cls, by_ref: Mapping[Ref, Closure], others: Closure, in_use: frozenset[Digest]) -> "Marked":
        """All that these keep alive together."""
        everything = union((*by_ref.values(), others))
        return cls(
            by_ref,
            others,
            in_use,
            everything.blobs,
            everything.layers,
            everything.stacks,
            everything.damage,
        )

    def without(self, refs: Iterable[Ref]) -> "Marked":
        """What is alive once `refs` are gone."""
        gone = set(refs)
        left = {ref: closure for ref, closure in self.by_ref.items() if ref not in gone}
        return Marked.of(left, self.others, self.in_use)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a collection would remove, as paths, in the order of removal."""

    manifests: tuple[str, ...] = ()
    blobs: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    snapshots: tuple[str, ...] = ()
    ingests: tuple[str, ...] = ()
    strays: tuple[str, ...] = ()
    usage: Usage = field(default_factory=Usage)
    damage: tuple[str, ...] = ()
    """Why no content is in the plan, where some that is alive could not be read."""

    def __str__(self) -> str:
        kinds = ("manifests", "snapshots", "layers", "blobs", "ingests", "strays")
        return "\n".join(f"{kind[:-1]} {path}" for kind in kinds for path in getattr(self, kind))

    def execute(self) -> None:
        """Remove it all. The caller holds the store lock, exclusive, since before the plan was made."""
        for remove in _removals(self.manifests):
            remove()
        for directory in sorted({os.path.dirname(path) for path in self.manifests}):
            sync_directory(directory)
        _MANIFESTS.reach()
        aside = set_all_aside((*self.snapshots, *self.layers))
        _LAYERS.reach()
        # Nearly all of the time, the kernel drops the cached pages of large files: on one processor for each file.
        trees: Iterable[Callable[[], None]] = (partial(remove_tree, path) for path in aside)
        run_all((*trees, *_removals(self.blobs)), limit=_SIDE_BY_SIDE)
        for path in self.ingests:
            _discard_if_idle(path)
            _INGEST.reach()
        for path in self.strays:
            remove_tree(path)


def _removals(blobs: Iterable[str]) -> Iterator[Callable[[], None]]:
    return (partial(_remove_blob, path) for path in blobs)


def _remove_blob(path: str) -> None:
    remove_file(path)
    _BLOB.reach()


def _discard_if_idle(path: str) -> None:
    """Remove work that nobody does; its lock is taken, since ingests start without the store lock."""
    try:
        lock = open_lock(os.path.join(path, "lock"))
    except FileNotFoundError:
        return
    try:
        if lock.try_exclusive() and lock.is_current():
            ingest.discard(path)
    finally:
        lock.close()


def mark(store: Store, held_layers: Iterable[Digest] = (), held: Iterable[Descriptor] = ()) -> Marked:
    """Everything alive. Containers stand on the layers `held_layers` and on the manifests `held`.

    The caller holds the store lock, exclusive. Raises `StoreDamaged` where there is no telling the refs.
    """
    reader = ClosureReader(store.blobs)
    by_ref = {ref: reader.of(ref.descriptor) for ref in store.refs.read().refs}
    containers = [reader.of(descriptor) for descriptor in held]
    leased = [reader.of(descriptor) for descriptor in leases.held(store.layout)]
    kept = union((*containers, *leased))
    others = Closure(kept.manifests, kept.blobs, kept.layers | frozenset(held_layers), kept.stacks)
    return Marked.of(by_ref, others, union(containers).manifests)


def plan_collection(
    store: Store,
    marked: Marked,
    *,
    with_ingests: bool,
    snapshots: tuple[str, ...] = (),
    strays: tuple[str, ...] = (),
) -> Plan:
    """What is on disk and not `marked`; work broken off too where `with_ingests` says so.

    `snapshots` are directories derived from layers, and `strays` what remained of other work: their own modules
    found both unneeded. Work on a blob
    that is there by now, and temporary files whose writer is gone, are never of use. Where `marked` met
    damage, only such leavings are in the plan: see `Marked.damage`.
    """
    ingests = tuple(path for path in _idle_ingests(store) if with_ingests or _is_late(store, path))
    leavings = (*_strays(store), *leases.abandoned(store.layout), *strays)
    if marked.damage:
        return Plan(ingests=ingests, strays=leavings, usage=_usage(ingests, leavings), damage=marked.damage)
    dead = [path for digest, path in store.blobs.paths().items() if digest not in marked.blobs]
    ranks = {path: _rank(path) for path in dead}
    manifests = tuple(sorted((path for path in dead if ranks[path] < _LEAF), key=ranks.__getitem__))
    leaves = tuple(path for path in dead if ranks[path] == _LEAF)
    layers = tuple(store.layers.path(each) for each in store.layers.names() if each not in marked.layers)
    leavings += store.layers.spent_lists(marked.layers)
    usage = _usage(dead, snapshots, layers, ingests, leavings)
    return Plan(manifests, leaves, layers, snapshots, ingests, leavings, usage)


def _usage(*groups: Iterable[str]) -> Usage:
    meter = Meter()
    return sum((meter.measure(path) for group in groups for path in group), Usage())


def _strays(store: Store) -> tuple[str, ...]:
    """Temporary files and directories that nobody finishes: whoever writes such holds the store lock, as we do.

    What is set aside in ``ingest/`` may be under removal by its owner; two removals do no harm.
    """
    layout = store.layout
    places = [layout.root, layout.content, layout.ingests, layout.layers]
    places += map(store.layers.path, store.layers.names())
    blobs = os.path.dirname(layout.blobs("sha256"))
    places += filter(os.path.isdir, (os.path.join(blobs, name) for name in sorted(os.listdir(blobs))))
    return tuple(
        os.path.join(place, name)
        for place in places
        for name in sorted(os.listdir(place))
        if name.startswith(TEMPORARY_PREFIX)
    )


_LEAF = 2


def _rank(path: str) -> int:
    """0 for an index, 1 for a manifest, `_LEAF` for what names nothing: guessed, as it only decides the order."""
    with open(path, "rb") as stream:
        if stream.read(1) != b"{":
            return _LEAF
        text = stream.read(MAX_DOCUMENT)
    if b'"schemaVersion"' not in text:
        return _LEAF
    return 0 if b'"manifests"' in text else 1


def _idle_ingests(store: Store) -> tuple[str, ...]:
    names = [name for name in os.listdir(store.layout.ingests) if not name.startswith(TEMPORARY_PREFIX)]
    paths = [os.path.join(store.layout.ingests, name) for name in sorted(names)]
    return tuple(path for path in paths if _is_idle(os.path.join(path, "lock")))


def _is_idle(lock: str) -> bool:
    return not os.path.exists(lock) or leases.is_abandoned(lock)


def _is_late(store: Store, path: str) -> bool:
    """Whether the work is on a blob that is there already, or on nothing that is ever resumed."""
    digest = parse_name(os.path.basename(path))
    return digest is None or store.blobs.exists(digest)
