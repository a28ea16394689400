"""Collection: what nothing refers to any more, as a plan that can be printed, and its execution.

`mark` walks from the refs and the leases of running processes; `plan_collection` names the rest;
`Plan.execute` removes it, manifests before what they name, so that a power cut in the middle leaves
no manifest without its children. All three happen under one hold of the store lock.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field

from layerstore.content import children, has_children, read_document, read_manifest
from layerstore.disk.faults import CrashPoint
from layerstore.disk.locks import open_lock
from layerstore.disk.publish import TEMPORARY_PREFIX, remove_file, sync_directory
from layerstore.disk.trees import Meter, Usage, remove_tree
from layerstore.errors import ContentMismatch, InvalidInput, NotFound, StoreDamaged
from layerstore.oci import mediatype
from layerstore.oci.config import ImageConfig
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.digest import Digest
from layerstore.oci.document import MAX_DOCUMENT
from layerstore.oci.manifest import Manifest
from layerstore.store import ingest, leases
from layerstore.store.layout import parse_name
from layerstore.store.store import Store

_MANIFESTS = CrashPoint("gc: manifests removed")
_BLOB = CrashPoint("gc: one blob removed")
_LAYER = CrashPoint("gc: one layer removed")
_INGEST = CrashPoint("gc: one ingest removed")


@dataclass(slots=True)
class Marked:
    """What is alive: blobs by digest, uncompressed layers by diff_id, and each image's stack of diff_ids."""

    manifests: set[Digest] = field(default_factory=set)
    blobs: set[Digest] = field(default_factory=set)
    layers: set[Digest] = field(default_factory=set)
    stacks: set[tuple[Digest, ...]] = field(default_factory=set)
    damage: list[str] = field(default_factory=list)
    """Why some live content could not be read; then nobody knows what it names, and nothing is collected."""


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

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to remove."""
        return not (
            self.manifests or self.blobs or self.layers or self.snapshots or self.ingests or self.strays
        )

    def __str__(self) -> str:
        kinds = ("manifests", "snapshots", "layers", "blobs", "ingests", "strays")
        return "\n".join(f"{kind[:-1]} {path}" for kind in kinds for path in getattr(self, kind))

    def execute(self) -> None:
        """Remove it all. The caller holds the store lock, exclusive, since before the plan was made."""
        _remove_files(self.manifests)
        _MANIFESTS.reach()
        for path in (*self.snapshots, *self.layers):
            remove_tree(path)
            _LAYER.reach()
        _remove_files(self.blobs)
        for path in self.ingests:
            _discard_if_idle(path)
            _INGEST.reach()
        for path in self.strays:
            remove_file(path)


def mark(store: Store, held_layers: Iterable[Digest] = ()) -> Marked:
    """Everything alive. `held_layers` are diff_ids that others (containers) stand on.

    The caller holds the store lock, exclusive.
    """
    marked = Marked(layers=set(held_layers))
    roots = {ref.descriptor for ref in store.refs.read().refs}
    for root in (*roots, *leases.held(store.layout)):
        _mark(store, root, marked)
    return marked


def _mark(store: Store, node: Descriptor, marked: Marked) -> None:
    if node.digest in marked.blobs:
        return
    marked.blobs.add(node.digest)
    if not has_children(node):
        return
    marked.manifests.add(node.digest)
    try:
        parsed = read_manifest(store.blobs, node)
        below = children(parsed)
        if isinstance(parsed, Manifest) and mediatype.is_config(parsed.config.media_type):
            _mark_layers(store, parsed, marked)
    except NotFound:
        return  # held by a process that has not fetched it yet
    except (InvalidInput, ContentMismatch, StoreDamaged) as error:
        marked.damage.append(error.message)
        return
    for child in below:
        _mark(store, child, marked)


def _mark_layers(store: Store, manifest: Manifest, marked: Marked) -> None:
    config = ImageConfig.parse(read_document(store.blobs, manifest.config))
    marked.layers.update(config.diff_ids)
    marked.stacks.add(config.diff_ids)


def plan_collection(
    store: Store, marked: Marked, *, with_ingests: bool, snapshots: tuple[str, ...] = ()
) -> Plan:
    """What is on disk and not `marked`; work broken off too where `with_ingests` says so.

    `snapshots` are directories derived from layers, which their own module found unneeded.

    Where `marked` met damage the plan is empty: see `Marked.damage`.
    """
    if marked.damage:
        return Plan(damage=tuple(marked.damage))
    blobs, strays = _blobs(store)
    dead = {digest: path for digest, path in blobs.items() if digest not in marked.blobs}
    manifests = tuple(path for path in dead.values() if _is_manifest(path))
    layers = tuple(store.layout.layer(each) for each in store.layers.names() if each not in marked.layers)
    ingests = _idle_ingests(store) if with_ingests else ()
    leaves = tuple(path for path in dead.values() if path not in manifests)
    stray = (*strays, *leases.abandoned(store.layout))
    meter = Meter()
    usage = sum((meter.measure(path) for path in (*dead.values(), *snapshots, *layers, *ingests)), Usage())
    return Plan(manifests, leaves, layers, snapshots, ingests, stray, usage)


def _blobs(store: Store) -> tuple[dict[Digest, str], tuple[str, ...]]:
    """The blobs on disk, and temporary files whose writer is gone (the store lock keeps writers out)."""
    found: dict[Digest, str] = {}
    strays: list[str] = []
    parent = os.path.dirname(store.layout.blobs("sha256"))
    for algorithm in sorted(os.listdir(parent)):
        for name in sorted(os.listdir(os.path.join(parent, algorithm))):
            path = os.path.join(parent, algorithm, name)
            digest = parse_name(f"{algorithm}-{name}")
            if digest is not None:
                found[digest] = path
            elif name.startswith(TEMPORARY_PREFIX):
                strays.append(path)
    return found, tuple(strays)


def _is_manifest(path: str) -> bool:
    """Whether the blob looks like one that names others: good enough, since it only decides the order."""
    with open(path, "rb") as stream:
        if stream.read(1) != b"{":
            return False
        return b'"schemaVersion"' in stream.read(MAX_DOCUMENT)


def _idle_ingests(store: Store) -> tuple[str, ...]:
    paths = [os.path.join(store.layout.ingests, name) for name in sorted(os.listdir(store.layout.ingests))]
    return tuple(path for path in paths if _is_idle(os.path.join(path, "lock")))


def _is_idle(lock: str) -> bool:
    return not os.path.exists(lock) or leases.is_abandoned(lock)


def _discard_if_idle(path: str) -> None:
    """Remove work that nobody does; its lock is taken, since ingests start without the store lock."""
    try:
        lock = open_lock(os.path.join(path, "lock"))
    except FileNotFoundError:
        return
    try:
        if lock.try_exclusive():
            ingest.discard(path)
    finally:
        lock.close()


def _remove_files(paths: tuple[str, ...]) -> None:
    for path in paths:
        remove_file(path)
        _BLOB.reach()
    for directory in sorted({os.path.dirname(path) for path in paths}):
        sync_directory(directory)
