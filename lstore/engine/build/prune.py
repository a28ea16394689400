"""`builder du`, `builder prune`, and the bound on what builds keep: finished steps and cache mounts, by last use."""

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from layerstore.build.cache import BuildCache
from layerstore.disk.locks import open_lock
from layerstore.disk.trees import Meter, remove_tree, set_aside
from layerstore.errors import storage_error
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.digest import Digest
from layerstore.store.closure import ClosureReader
from lstore.engine.build.mount_sources import ABOUT, LOCK
from lstore.engine.build.site import sweep
from lstore.engine.collect import collect
from runner.mapped import call_mapped

if TYPE_CHECKING:
    from lstore.engine.engine import Engine

MAX_CACHE: Final = 20 << 30
"""Bytes that finished steps and cache mounts may take after a build; the least recently used go first."""
_MAX_ABOUT: Final = 4096


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
    recently used until no more than `keep_size` bytes are left. Cache mounts only where `with_mounts` says so.
    """

    unused_since: float | None = None
    keep_size: int | None = None
    with_mounts: bool = False


def usage(engine: "Engine") -> tuple[CacheItem, ...]:
    """What is kept, the least recently used first."""
    cache = BuildCache(engine.store.layout)
    items = [*_steps(engine, cache), *_mounts(cache)]
    return tuple(sorted(items, key=lambda item: (item.last_used, item.id)))


def prune(engine: "Engine", request: CachePruneRequest) -> tuple[tuple[CacheItem, ...], int]:
    """Remove what `request` says; what that was, and the bytes that it gave back. Raises `StorageError`."""
    sweep(engine)
    doomed = [
        item for item in _choose(usage(engine), request) if not item.is_mount or _remove_mount(engine, item)
    ]
    keys = [key for item in doomed for key in item.keys]
    with engine.store.locked():
        BuildCache(engine.store.layout).remove(keys)
    freed = collect(engine.store, engine.snapshotter).usage.size
    return tuple(doomed), freed + sum(item.size for item in doomed if item.is_mount)


def bound(engine: "Engine") -> None:
    """Keep to `MAX_CACHE`. Called after a build that added something."""
    if sum(each.record.size for each in BuildCache(engine.store.layout).records()) > MAX_CACHE:
        prune(engine, CachePruneRequest(keep_size=MAX_CACHE, with_mounts=True))


def _choose(items: Sequence[CacheItem], request: CachePruneRequest) -> Iterable[CacheItem]:
    candidates = [item for item in items if request.with_mounts or not item.is_mount]
    if request.unused_since is not None:
        candidates = [item for item in candidates if item.last_used < request.unused_since]
    if request.keep_size is None:
        return candidates
    total, chosen = sum(item.size for item in items), []
    for item in candidates:
        if total <= request.keep_size:
            break
        chosen.append(item)
        total -= item.size
    return chosen


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


def _mounts(cache: BuildCache) -> list[CacheItem]:
    found = []
    with suppress(FileNotFoundError):
        for name in sorted(os.listdir(cache.mounts)):
            home = os.path.join(cache.mounts, name)
            with suppress(OSError), open(os.path.join(home, ABOUT), encoding="utf-8") as file:
                title = f"cache mount {file.read(_MAX_ABOUT)}"
                size = Meter().measure(home).size
                found.append(CacheItem(name, True, size, False, os.stat(home).st_mtime, title))
    return found


def _remove_mount(engine: "Engine", item: CacheItem) -> bool:
    """Whether the cache is gone; one that a step uses stays."""
    home = os.path.join(BuildCache(engine.store.layout).mounts, item.id)
    try:
        lock = open_lock(os.path.join(home, LOCK))
    except FileNotFoundError:
        return False
    try:
        if not lock.try_exclusive():
            return False
        call_mapped(partial(remove_tree, set_aside(home)))
    except OSError as error:
        raise storage_error(error, f"remove the cache {home}") from error
    finally:
        lock.close()
    return True
