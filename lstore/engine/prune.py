"""`image prune`, `system prune`: what is not used goes, with all that it alone needed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from layerstore.oci.digest import Digest
from layerstore.store.gc import Plan
from lstore.engine import catalog
from lstore.engine.catalog import Image
from lstore.engine.collect import plan
from lstore.engine.images import select
from lstore.engine.remove import Deleted, Untagged, events_of

if TYPE_CHECKING:
    from lstore.engine.engine import Engine


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which images may go: nameless ones, or, with `named_too`, all that no container uses; past `filters`."""

    named_too: bool = False
    filters: Mapping[str, Sequence[str]] | None = None


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was said of the images that went, and what went with them; `plan.usage.size` is the bytes freed."""

    events: tuple[Untagged | Deleted, ...]
    plan: Plan


def prune_images(engine: "Engine", wanted: Wanted, now: datetime) -> Pruned:
    """Remove unused images. Raises `UsageError` for an unknown filter, `StorageError`, `StoreDamaged`."""
    return _prune(engine, wanted, now, with_ingests=False)


def prune_system(engine: "Engine", wanted: Wanted, now: datetime) -> Pruned:
    """Remove unused images, downloads that broke off, and all that nothing needs. Raises as `prune_images`."""
    return _prune(engine, wanted, now, with_ingests=True)


def _prune(engine: "Engine", wanted: Wanted, now: datetime, *, with_ingests: bool) -> Pruned:
    store = engine.store
    with store.locked():
        table = store.refs.read()
        images = catalog.images(store, table)
        in_use = _in_use(engine.snapshotter.held_stacks())
        unused = [image for image in images if not in_use(image) and (wanted.named_too or image.is_dangling)]
        chosen = select(unused, wanted.filters or {}, now)
        gone = {image.descriptor for image in chosen}
        kept = {ref for image in images if image.descriptor not in gone for ref in image.refs}
        doomed = dict.fromkeys(ref for image in chosen for ref in image.refs if ref not in kept)
        events = events_of(tuple(doomed), images)
        store.refs.update(lambda table: table.without(doomed.__contains__))
        leftover = plan(store, engine.snapshotter, with_ingests=with_ingests)
        leftover.execute()
    return Pruned(events, leftover)


def _in_use(stacks: set[tuple[Digest, ...]]) -> Callable[[Image], bool]:
    return lambda image: image.config is not None and image.config.diff_ids in stacks
