"""Check every promise the store makes, name each damage, and mend what can be mended.

What is merely left over (broken-off downloads, blobs that no ref needs, leases of processes that are
gone) is no damage: `layerstore.store.gc` removes it. Damage is what a promise forbids:

    ref         content that an image needs is missing or cannot be read
    blob        bytes that do not match the digest they are named by
    layer       an uncompressed layer that does not match its diff_id
    layout      a file or directory that the store needs is missing or is not what it should be

Each damage is reported once, by the object that it happened to.
"""

import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Literal

from layerstore.content import CHUNK
from layerstore.dataclass import dataclass
from layerstore.disk import locks
from layerstore.disk.faults import CrashPoint
from layerstore.disk.publish import sync_directory, write_file
from layerstore.disk.trees import remove_tree
from layerstore.errors import RegistryError, StoreDamaged, storage_error
from layerstore.oci.digest import Digest
from layerstore.progress import SILENT, Progress
from layerstore.store.layers import Verify
from layerstore.store.layout import IMAGE_LAYOUT
from layerstore.store.refs import MAX_INDEX, Ref
from layerstore.store.salvage import DAMAGED, salvage
from layerstore.store.store import Store

Kind = Literal["ref", "blob", "layer", "layout", "container"]
Refetch = Callable[[Ref], bool]
"""Fetch a ref's missing content again, from where it once came; whether that worked.

Raises `RegistryError` where nobody can tell now: the content may be there yet.
"""

_REMOVED = CrashPoint("fsck: damaged content removed")
_SAVED = CrashPoint("fsck: damaged index.json kept")
_INDEX = "index.json"
_MARKER = "oci-layout"
_LISTED_REFS = 3


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

    What other processes add or remove meanwhile is whole or gone, and no damage. Raises `StorageError`.
    """
    try:
        layout = tuple(_check_layout(store))
        blobs = tuple(_check_blobs(store, progress))
        layers = tuple(_check_layers(store, verify, progress))
        with _reading(store):
            return (*layout, *blobs, *layers, *_check_refs(store, {each.subject for each in blobs}))
    except OSError as error:
        raise storage_error(error, f"check the store at {store.layout.root}") from error


def _reading(store: Store) -> ExitStack:
    """Hold the store lock, shared, so that nobody removes what a ref just named; if we only may read, do without."""
    with ExitStack() as stack:
        try:
            stack.enter_context(locks.shared(store.layout.lock))
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise
        return stack.pop_all()


def _check_layout(store: Store) -> Iterator[Damage]:
    for path in store.layout.directories:
        if not os.path.isdir(path):
            yield Damage("layout", os.path.relpath(path, store.layout.root), "is missing", path)
    path = os.path.join(store.layout.content, _MARKER)
    try:
        with open(path, "rb") as stream:
            if stream.read(len(IMAGE_LAYOUT) + 1) != IMAGE_LAYOUT:
                yield Damage("layout", _MARKER, "is not the marker of an image layout", path)
    except FileNotFoundError:
        yield Damage("layout", _MARKER, "is missing", path)


def _check_blobs(store: Store, progress: Progress) -> Iterator[Damage]:
    try:
        paths = store.blobs.paths()
    except FileNotFoundError:  # already reported: blobs/ is missing
        return
    for digest, path in paths.items():
        if not matches(path, digest, progress):
            yield Damage("blob", str(digest), "its bytes have another digest", path)


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
    """Suspects of an earlier crash are left out: they are verified before their next use anyway."""
    if not os.path.isdir(store.layout.layers):  # already reported
        return
    for diff_id in store.layers.names():
        path = store.layers.path(diff_id)
        if store.layers.has(diff_id):
            progress.phase(diff_id.short, "verifying")
            if not _is_sound(diff_id, path, verify):
                yield Damage("layer", str(diff_id), "it is not the layer of that diff_id", path)
            progress.phase(diff_id.short, "done")


def _is_sound(diff_id: Digest, path: str, verify: Verify) -> bool:
    """Whether the layer holds; true where it was just removed, which happens by one rename."""
    try:
        directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        if verify(diff_id, path):
            return True
        return not (os.path.isdir(path) and os.path.samestat(os.stat(path), os.fstat(directory)))
    except FileNotFoundError:
        return not os.path.isdir(path)
    finally:
        os.close(directory)


def _check_refs(store: Store, reported: set[str]) -> Iterator[Damage]:
    try:
        refs = store.refs.read().refs
    except StoreDamaged as error:
        yield Damage("layout", _INDEX, error.message, store.layout.index)
        return
    needing: dict[str, list[Ref]] = {}
    for ref in refs:
        for node, reason in store.blobs.missing(ref.descriptor):
            if str(node.digest) not in reported:
                needing.setdefault(f"{node.digest} {reason}", []).append(ref)
    for reason, broken in needing.items():
        yield Damage("ref", _subject(broken), reason)


def _subject(refs: list[Ref]) -> str:
    names = [str(ref.name or ref.descriptor.digest) for ref in refs]
    more = len(names) - _LISTED_REFS
    return ", ".join(names[:_LISTED_REFS]) + (f" and {more} more" if more > 0 else "")


def repair(store: Store, damages: tuple[Damage, ...], refetch: Refetch) -> tuple[Repair, ...]:
    """Mend each damage: remove bad bytes, fetch again what refs need, and drop refs whose content is lost.

    Nothing whole is touched; a ref whose registry does not answer waits for another repair. Idempotent.
    Raises `StorageError`.
    """
    outcomes = []
    for damage in damages:
        if damage.kind != "ref":
            with store.locked():
                outcomes.append(Repair(damage, _mend(store, damage), is_mended=True))
                _REMOVED.reach()
    for ref in store.refs.read().refs:
        reasons = [f"{node.digest} {reason}" for node, reason in store.blobs.missing(ref.descriptor)]
        if reasons:
            outcomes += _mend_ref(store, ref, reasons, refetch)
    return tuple(outcomes)


def _mend(store: Store, damage: Damage) -> str:
    """Undo one damage of our own files; what was done is the result. The caller holds the store lock."""
    if damage.subject == _INDEX:
        return _rebuild_index(store)
    if damage.subject == _MARKER:
        write_file(damage.path, IMAGE_LAYOUT)
        return "written anew"
    if damage.kind == "layout":
        store.layout.make_missing()
        return "made anew"
    if damage.kind == "layer":
        store.layers.remove([Digest.parse(damage.subject)])
        return "removed; it is unpacked again when needed"
    if matches(damage.path, Digest.parse(damage.subject)):  # another process brought it back
        return "mended meanwhile"
    remove_tree(damage.path)
    sync_directory(os.path.dirname(damage.path))
    return "removed"


def _rebuild_index(store: Store) -> str:
    raw = b""
    if os.path.exists(store.layout.index):
        with open(store.layout.index, "rb") as stream:
            raw = stream.read(MAX_INDEX)
        write_file(os.path.join(store.layout.content, DAMAGED), raw)
        _SAVED.reach()
    table = salvage(store, raw)
    store.refs.replace(table)
    named = sum(ref.name is not None for ref in table.refs)
    return f"rebuilt: {named} names read, {len(table.refs) - named} images found that had lost theirs"


def _mend_ref(store: Store, ref: Ref, reasons: list[str], refetch: Refetch) -> Iterator[Repair]:
    is_mended = False
    try:
        is_mended = refetch(ref) and store.blobs.has_graph(ref.descriptor)
    except RegistryError as error:
        outcome = f"kept, though nothing could be fetched: {error.message}"
    else:
        outcome = "fetched again" if is_mended else "dropped the image, its content is lost"
        if not is_mended:
            store.update_refs(lambda table: table.without(ref.__eq__))
    for reason in reasons:
        yield Repair(Damage("ref", _subject([ref]), reason), outcome, is_mended)
