"""Check every promise the store makes, name each damage, and mend what can be mended.

What is merely left over (broken-off downloads, blobs that no ref needs, leases of processes that are
gone) is no damage: `layerstore.store.gc` removes it. Damage is what a promise forbids:

    ref         ``index.json`` cannot be read, or an entry's content is missing
    blob        bytes that do not match the digest they are named by
    layer       an uncompressed layer that does not match its diff_id
    layout      a file that the store needs is missing or is not what it should be
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

from layerstore.content import CHUNK, children, has_children, read_manifest
from layerstore.disk.faults import CrashPoint
from layerstore.disk.publish import remove_file, sync_directory, write_file
from layerstore.disk.trees import remove_tree
from layerstore.errors import LstoreError, StoreDamaged
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.digest import Digest
from layerstore.progress import SILENT, Progress
from layerstore.store.layers import Verify
from layerstore.store.layout import EMPTY_INDEX, IMAGE_LAYOUT, parse_name
from layerstore.store.refs import Ref
from layerstore.store.store import Store

Kind = Literal["ref", "blob", "layer", "layout"]
Refetch = Callable[[Ref], bool]
"""Fetch a ref's missing content again, from where it once came; whether that worked."""

_REMOVED = CrashPoint("fsck: damaged content removed")


@dataclass(frozen=True, slots=True)
class Damage:
    """One broken promise: what kind of object, which one, and what is wrong with it."""

    kind: Kind
    subject: str
    reason: str
    path: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Repair:
    """What became of one damage."""

    damage: Damage
    outcome: str
    is_mended: bool


def check(store: Store, verify: Verify, progress: Progress = SILENT) -> tuple[Damage, ...]:
    """Every damage, found by reading everything. `verify` is the driver's knowledge of its layers.

    Takes no lock while it reads: what a running process adds or removes meanwhile is whole or gone.
    """
    return (
        *_check_layout(store),
        *_check_blobs(store, progress),
        *_check_layers(store, verify, progress),
        *_check_refs(store),
    )


def _check_layout(store: Store) -> Iterator[Damage]:
    path = os.path.join(store.layout.content, "oci-layout")
    try:
        with open(path, "rb") as stream:
            if stream.read(len(IMAGE_LAYOUT) + 1) != IMAGE_LAYOUT:
                yield Damage("layout", "oci-layout", "is not the marker of an image layout", path)
    except OSError:
        yield Damage("layout", "oci-layout", "is missing", path)


def _check_blobs(store: Store, progress: Progress) -> Iterator[Damage]:
    parent = os.path.dirname(store.layout.blobs("sha256"))
    for algorithm in sorted(os.listdir(parent)):
        for name in sorted(os.listdir(os.path.join(parent, algorithm))):
            digest = parse_name(f"{algorithm}-{name}")
            if digest is not None and not matches(store.layout.blob(digest), digest, progress):
                yield Damage("blob", str(digest), "its bytes have another digest", store.layout.blob(digest))


def matches(path: str, digest: Digest, progress: Progress = SILENT) -> bool:
    """Whether the bytes of the file at `path` have that digest; true where it was just removed."""
    hasher = hashlib.new(digest.algorithm)
    try:
        with open(path, "rb", buffering=0) as stream:
            progress.phase(digest.short, "verifying", os.fstat(stream.fileno()).st_size)
            for chunk in iter(partial(stream.read, CHUNK), b""):
                hasher.update(chunk)
                progress.advance(digest.short, len(chunk))
    except FileNotFoundError:
        return True
    except OSError:
        return False
    progress.phase(digest.short, "done")
    return hasher.hexdigest() == digest.encoded


def _check_layers(store: Store, verify: Verify, progress: Progress) -> Iterator[Damage]:
    for diff_id in store.layers.names():
        path = store.layers.path(diff_id)
        progress.phase(diff_id.short, "verifying")
        if os.path.isdir(path) and not verify(diff_id, path):
            yield Damage("layer", str(diff_id), "it is not the layer of that diff_id", path)
        progress.phase(diff_id.short, "done")


def _check_refs(store: Store) -> Iterator[Damage]:
    try:
        refs = store.refs.read().refs
    except StoreDamaged as error:
        yield Damage("layout", "index.json", error.message, store.layout.index)
        return
    for ref in refs:
        for reason in _missing(store, ref.descriptor):
            yield Damage("ref", str(ref.name or ref.descriptor.digest), reason)


def _missing(store: Store, node: Descriptor) -> Iterator[str]:
    if not store.blobs.has(node):
        yield f"{node.digest} is missing or has another size"
        return
    if not has_children(node):
        return
    try:
        below = children(read_manifest(store.blobs, node))
    except LstoreError as error:
        yield f"{node.digest} cannot be read: {error.message}"
        return
    for child in below:
        yield from _missing(store, child)


def repair(store: Store, damages: tuple[Damage, ...], refetch: Refetch) -> tuple[Repair, ...]:
    """Mend each damage: remove bad bytes, fetch again what refs need, and drop refs that stay broken.

    Nothing whole is touched. Idempotent.
    """
    outcomes = [_remove(store, each) for each in damages if each.kind in ("blob", "layer", "layout")]
    broken = tuple(damage for damage in _check_refs(store) if damage.kind == "ref")
    for subject in dict.fromkeys(damage.subject for damage in broken):
        of_subject = [damage for damage in broken if damage.subject == subject]
        outcomes += _mend_ref(store, subject, of_subject, refetch)
    return tuple(outcomes)


def _remove(store: Store, damage: Damage) -> Repair:
    with store.locked():
        if damage.kind == "layout":
            write_file(damage.path, EMPTY_INDEX if damage.subject == "index.json" else IMAGE_LAYOUT)
            return Repair(damage, "written anew", is_mended=True)
        if damage.kind == "layer":
            remove_tree(damage.path)
        else:
            remove_file(damage.path)
        sync_directory(os.path.dirname(damage.path))
        _REMOVED.reach()
    outcome = "removed; it is unpacked again when needed" if damage.kind == "layer" else "removed"
    return Repair(damage, outcome, is_mended=True)


def _mend_ref(store: Store, subject: str, damages: list[Damage], refetch: Refetch) -> list[Repair]:
    refs = [ref for ref in store.refs.read().refs if str(ref.name or ref.descriptor.digest) == subject]
    broken = [ref for ref in refs if any(True for _ in _missing(store, ref.descriptor))]
    lost = [ref for ref in broken if ref.name is None or not refetch(ref)]
    if not lost:
        return [Repair(damage, "fetched again", is_mended=True) for damage in damages]
    store.update_refs(lambda table: table.without(lambda ref: ref in lost))
    return [Repair(damage, "dropped the ref, its content is lost", is_mended=False) for damage in damages]
