"""`builder export` and `builder import`: the caches of ``RUN --mount=type=cache`` as one tar, out and back in.

    ID/about    which cache it is
    ID/data/…   what is in it, with owners, modes and times

A cache that steps use is waited for by nobody: it is left out, and said so. Reading the tar is reading a layer: what it
says reaches no file outside the caches (`layerstore.layer.apply`).
"""

import os
import re
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, BinaryIO, Final

from layerstore.build.cache import BuildCache
from layerstore.content import CHUNK, Readable
from layerstore.disk.locks import FileLock, open_lock
from layerstore.disk.publish import make_directories, move
from layerstore.disk.trees import remove_tree, sync_tree
from layerstore.errors import InvalidInput, NotFound, storage_error
from layerstore.layer.apply import apply_tree
from layerstore.layer.diff import diff, members
from layerstore.layer.files import INDEX, TAR
from layerstore.layer.layer_index import read_layer_changes
from layerstore.layer.ownership import Ownership
from layerstore.layer.pack import Member, pack
from layerstore.layer.tar_writer import TarWriter
from layerstore.layer.tree import Tree
from layerstore.oci.digest import Digest
from layerstore.store.staging import staged
from lstore.engine.build.mount_sources import ABOUT, DATA, LOCK
from runner.mapped import call_mapped

if TYPE_CHECKING:
    from lstore.engine.engine import Engine

_ID: Final = re.compile(r"([0-9a-f]{64})(-[0-9]{1,4})?\Z")
_MAX_ABOUT: Final = 4096
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
_READ: Final = (
    os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
)  # a FIFO of that name is not waited for
_PARTS: Final = frozenset({ABOUT, DATA})
"""What of a cache travels."""


def export_caches(engine: "Engine", output: BinaryIO, wanted: Sequence[str] = ()) -> tuple[str, ...]:
    """Write the caches with the ids `wanted`, as `builder du` shows them, or all; those left out, being in use.

    Raises `NotFound`, `UnsupportedContent`, `StorageError`.
    """
    home = BuildCache(engine.store.layout).mounts
    known = _names(home)
    unknown = [each for each in wanted if each not in known]
    if unknown:
        raise NotFound(f"no cache mount {unknown[0]}", hint="lstore builder du")
    held: list[str] = []
    busy: list[str] = []
    locks: list[FileLock] = []
    try:
        for name in dict.fromkeys(wanted or known):
            lock = open_lock(os.path.join(home, name, LOCK))
            locks.append(lock)
            (held if lock.try_exclusive() else busy).append(name)
        call_mapped(partial(_write, home, held, output))
    except OSError as error:
        raise storage_error(error, f"read the caches in {home}") from error
    finally:
        for lock in locks:
            lock.close()
    return tuple(busy)


def import_caches(engine: "Engine", source: Readable) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Make the caches that the tar `source` has; the ids of those that are new, and of those that were here and stay.

    Raises `InvalidInput` for a tar that is no such archive, `InvalidLayer`, `StorageError`; then nothing is new.
    """
    home = BuildCache(engine.store.layout).mounts
    try:
        make_directories(home, mode=0o711)
        with staged(engine.store.layout) as made:
            caches = os.path.join(made, "caches")
            os.mkdir(caches, 0o711)
            index_of = _index(source, made)
            call_mapped(partial(_unpack, index_of, caches))
            names = [_checked(caches, name) for name in sorted(os.listdir(caches))]
            here = tuple(name for name in names if os.path.exists(os.path.join(home, name)))
            fresh = tuple(name for name in names if name not in here)
            for name in fresh:
                move(os.path.join(caches, name), os.path.join(home, name))
            call_mapped(partial(remove_tree, caches))
    except OSError as error:
        raise storage_error(error, f"write the caches to {home}") from error
    return fresh, here


def _names(home: str) -> list[str]:
    try:
        return sorted(name for name in os.listdir(home) if _ID.match(name))
    except FileNotFoundError:
        return []


def _write(home: str, names: Sequence[str], output: BinaryIO) -> None:
    pack(chain.from_iterable(_members(home, name) for name in names), output.write)
    output.flush()


def _members(home: str, name: str) -> Iterator[Member]:
    fd = os.open(os.path.join(home, name), _DIRECTORY)
    try:
        for member in members(diff(fd, None)):
            entry = member.entry
            if entry.path and os.fsdecode(entry.path.partition(b"/")[0]) not in _PARTS:
                continue
            prefix = os.fsencode(name) + b"/"
            moved = entry._replace(path=(prefix + entry.path).rstrip(b"/"))
            if entry.kind.name == "HARDLINK":
                moved = moved._replace(link=prefix + entry.link)
            yield member._replace(entry=moved)
    finally:
        os.close(fd)


def _index(source: Readable, made: str) -> str:
    """The directory, in `made`, of the tar `source` with an index over it."""
    directory = os.path.join(made, "archive")
    os.mkdir(directory, 0o711)
    tar = TarWriter(directory)
    try:
        for chunk in iter(partial(source.read, CHUNK), b""):
            tar.append([chunk])
        tar.finish()
    finally:
        tar.abort()
    return directory


def _unpack(archive: str, caches: str) -> None:
    files = [os.open(os.path.join(archive, name), _READ) for name in (INDEX, TAR)]
    directory = os.open(caches, _DIRECTORY)
    try:
        tree = Tree()
        tree.apply(read_layer_changes(files[0]))
        apply_tree(tree.root, files[1:], directory, ownership=Ownership.of_process())
        for name in os.listdir(directory):
            _make_ours(name, directory)
    finally:
        for fd in (*files, directory):
            os.close(fd)
    for name in os.listdir(caches):
        for path, mode in ((name, 0o711), (f"{name}/{ABOUT}", 0o644)):
            _make_ours(os.path.join(caches, path), mode)
    sync_tree(caches)


def _make_ours(path: str, mode: int) -> None:
    """A cache's directory and its note are the store's, whosever they were in the tar; ``data`` stays as it is."""
    if os.path.lexists(path) and not os.path.islink(path):
        os.chown(path, 0, 0)
        os.chmod(path, mode)


def _checked(caches: str, name: str) -> str:
    """`name`, whose directory says what its name stands for, and holds nothing else. Raises `InvalidInput`."""
    match = _ID.match(name)
    try:
        strange = set(os.listdir(os.path.join(caches, name))) - _PARTS
        fd = os.open(os.path.join(caches, name, ABOUT), _READ)
        with os.fdopen(fd, "rb") as stream:
            about = stream.read(_MAX_ABOUT)
    except OSError:
        strange, about = set(), b""
    if match is None or strange or Digest.of(about).encoded != match[1]:
        raise InvalidInput(
            f"cannot take {name[:80]!r}: it is no exported cache mount", hint="lstore builder export"
        )
    return name
