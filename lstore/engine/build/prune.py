"""`builder du`, `builder prune`, and the bound on what builds keep: finished steps and cache mounts, by last use."""

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from layerstore.build.cache import BuildCache
from layerstore.dataclass import dataclass
from layerstore.disk.locks import open_lock
from layerstore.disk.publish import TEMPORARY_PREFIX
from layerstore.disk.trees import Meter, remove_tree, set_aside
from layerstore.errors import storage_error
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.digest import Digest
from layerstore.store.closure import ClosureReader
from lstore.engine.build.mount_sources import ABOUT, LOCK, SIZE
from lstore.engine.build.site import sweep
from lstore.engine.collect import collect

if TYPE_CHECKING:
    from lstore.engine.engine import Engine

_MAX_ABOUT: Final = 4096
_MAX_SIZE: Final = 64


@dataclass(frozen=True, slots=True)
class CacheItem:
    """One thing that builds keep: a finished step's layer, or a cache mount."""

    id: str
    is_mount: bool
    size: int
    """Bytes on disk."""
    is_shared: bool
    """Whether an image has the layer too, and so would keep it."""
    last_used: float
    """Seconds since the epoch."""
    title: str
    keys: tuple[Digest, ...] = ()
    """The records that a finished step has."""


@dataclass(frozen=True, slots=True)
class CachePruneRequest:
    """What may go: all of it, or what was last used before `unused_since` (seconds since the epoch), or the least
    recently used until no more than `keep_size` bytes are left; layers of images, which stay, do not count then.
    Cache mounts only where `with_mounts` says so, and never one that a step uses.
    """

    unused_since: float | None = None
    keep_size: int | None = None
    with_mounts: bool = False


def usage(engine: "Engine") -> tuple[CacheItem, ...]:
    """What is kept, the least recently used first."""
    cache = BuildCache(engine.store.layout)
    items = [*_steps(engine, cache), *_mounts(engine, cache)]
    return tuple(sorted(items, key=lambda item: (item.last_used, item.id)))


def prune(engine: "Engine", request: CachePruneRequest) -> tuple[tuple[CacheItem, ...], int]:
    """Remove what `request` says; what that was, and the bytes that it gave back. Raises `StorageError`."""
    sweep(engine)
    doomed = tuple(_doomed(engine, usage(engine), request))
    keys = [key for item in doomed for key in item.keys]
    with engine.store.locked():
        BuildCache(engine.store.layout).remove(keys)
    freed = collect(engine.store, engine.snapshotter).usage.size
    return doomed, freed + sum(item.size for item in doomed if item.is_mount)


def bound(engine: "Engine", keep_size: int) -> None:
    """Keep finished steps and cache mounts to `keep_size` bytes. Called after a build that added something.

    Raises as `prune` does.
    """
    cache = BuildCache(engine.store.layout)
    steps = sum(layer.size for layer in cache.layers())
    if steps + sum(item.size for item in _mounts(engine, cache)) > keep_size:
        prune(engine, CachePruneRequest(keep_size=keep_size, with_mounts=True))


def _doomed(engine: "Engine", items: Sequence[CacheItem], request: CachePruneRequest) -> Iterable[CacheItem]:
    """What is to go; cache mounts are gone by then, and for one that is in use another goes."""
    total = sum(item.size for item in items if not item.is_shared)
    for item in items:
        if request.keep_size is not None and (item.is_shared or total <= request.keep_size):
            continue
        if request.unused_since is not None and item.last_used >= request.unused_since:
            continue
        if item.is_mount and not (request.with_mounts and _remove_mount(engine, item)):
            continue
        total -= item.size
        yield item


def _steps(engine: "Engine", cache: BuildCache) -> list[CacheItem]:
    """One item for each layer, whichever keys it is known by; steps without one count each."""
    store = engine.store
    owned = {layer for ref in store.refs.read().refs for layer in _layers_of(engine, ref.descriptor)}
    meter = Meter()
    found: dict[str, CacheItem] = {}
    for used in cache.records():
        record = used.record
        name = record.key.encoded if record.layer is None else record.layer.digest.encoded
        size = 0
        if record.layer is not None:
            paths = (store.layout.blob(record.layer.digest), store.layers.path(record.layer.digest))
            size = sum(meter.measure(path).size for path in paths)
        known = found.get(name)
        found[name] = CacheItem(
            name[:25],
            is_mount=False,
            size=size + (known.size if known else 0),
            is_shared=record.layer is not None and record.layer.digest in owned,
            last_used=used.last_used,
            title=record.title,
            keys=(*(known.keys if known else ()), record.key),
        )
    return list(found.values())


def _layers_of(engine: "Engine", root: Descriptor) -> Iterable[Digest]:
    return ClosureReader(engine.store.blobs).of(root).blobs


def _mounts(engine: "Engine", cache: BuildCache) -> list[CacheItem]:
    found = []
    for name in _names(cache.mounts):
        home = os.path.join(cache.mounts, name)
        try:
            last_use = os.stat(home).st_mtime_ns
            with open(os.path.join(home, ABOUT), encoding="utf-8") as file:
                title = f"cache mount {file.read(_MAX_ABOUT)}"
            size = _size(engine, home, last_use)
        except (
            FileNotFoundError
        ):  # removed just now, or its first user was killed, and its next one says what it is
            continue
        except OSError as error:
            raise storage_error(error, f"read the cache {home}") from error
        found.append(CacheItem(name, True, size, False, last_use / 10**9, title))
    return found


def _names(mounts: str) -> list[str]:
    try:
        return [name for name in sorted(os.listdir(mounts)) if not name.startswith(TEMPORARY_PREFIX)]
    except FileNotFoundError:
        return []


def _size(engine: "Engine", home: str, last_use: int) -> int:
    """Bytes on disk; remembered until the cache is used again, which its directory's time says."""
    path = os.path.join(home, SIZE)
    with suppress(FileNotFoundError, ValueError), open(path, encoding="ascii") as file:
        known, moment = map(int, file.read(_MAX_SIZE).split())
        if moment == last_use:
            return known
    size = _measured(engine, home)
    with suppress(OSError):  # on a read-only disk it is measured each time
        with open(path, "w", encoding="ascii") as file:
            file.write(f"{size} {last_use}")
        os.utime(home, ns=(last_use, last_use))  # making the file changed it
    return size


def _measured(engine: "Engine", home: str) -> int:
    if engine.ids is None:
        return Meter().measure(home).size
    from layerstore.snapshot.mapped_trees import measure_mapped

    return measure_mapped(engine.ids, home)


def _remove_mount(engine: "Engine", item: CacheItem) -> bool:
    """Whether the cache is gone; one that a step uses stays."""
    home = os.path.join(BuildCache(engine.store.layout).mounts, item.id)
    try:
        lock = open_lock(os.path.join(home, LOCK))
    except FileNotFoundError:
        return False
    try:
        if not (lock.try_exclusive() and lock.is_current()):
            return False
        remove_tree(set_aside(home))
    except OSError as error:
        raise storage_error(error, f"remove the cache {home}") from error
    finally:
        lock.close()
    return True
