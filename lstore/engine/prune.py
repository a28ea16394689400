"""`image prune`, `system prune`: what is not used goes, with all that it alone needed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from layerstore.errors import UsageError
from layerstore.oci.digest import Digest
from layerstore.store.gc import Plan, mark
from layerstore.store.prune import plan_prune
from layerstore.store.refs import Ref
from lstore.engine import catalog
from lstore.engine.catalog import Image
from lstore.engine.collect import held_stacks, plan
from lstore.engine.containers.upkeep import sweep
from lstore.engine.images import select
from lstore.engine.remove import Deleted, Untagged, events_of

if TYPE_CHECKING:
    from lstore.engine.engine import Engine


@dataclass(frozen=True, slots=True)
class PruneRequest:
    """Which images may go: the nameless ones, or with `all_unused` all that no container stands on.

    Of these only those that pass `filters` (until, label, label!), and were last used before `unused_since`;
    with `keep_size`, in bytes, the least recently used ones until no more than that is left.
    """

    all_unused: bool = False
    filters: Mapping[str, Sequence[str]] = field(default_factory=dict)
    unused_since: datetime | None = None
    keep_size: int | None = None

    def __post_init__(self) -> None:
        if self.filters and self.keep_size is not None:
            raise UsageError("a size to keep and filters contradict each other")


@dataclass(frozen=True, slots=True)
class Pruned:
    """What to say of the images that went, and what went with them; `plan.usage.size` is the bytes freed."""

    events: tuple[Untagged | Deleted, ...]
    plan: Plan


def prune(engine: "Engine", request: PruneRequest, now: datetime, *, with_ingests: bool) -> Pruned:
    """Remove unused images and what nothing needs; with downloads that broke off, if `with_ingests`. Durable.

    Raises `UsageError` for an unknown filter, `StorageError`, `StoreDamaged`.
    """
    store = engine.store
    sweep(engine)  # what killed launchers left holds layers
    with store.locked():
        images = catalog.images(store, store.refs.read())
        doomed = _doomed(engine, request, images, now)
        store.refs.update(lambda table: table.without(doomed.__contains__))
        leftover = plan(store, engine.snapshotter, with_ingests=with_ingests)
        leftover.execute()
    return Pruned(events_of(doomed, images), leftover)


def _doomed(
    engine: "Engine", request: PruneRequest, images: tuple[Image, ...], now: datetime
) -> tuple[Ref, ...]:
    """The refs that go: an index only if all its images may."""
    store = engine.store
    decided = plan_prune(
        store,
        mark(store),
        all_unused=request.all_unused,
        until=request.unused_since.timestamp() if request.unused_since is not None else None,
        keep_size=request.keep_size,
    )
    stacks = held_stacks(store, engine.snapshotter)
    chosen = {image.descriptor for image in select(images, request.filters, now)}
    kept = {
        ref
        for image in images
        if image.descriptor not in chosen or _is_in_use(image, stacks)
        for ref in image.refs
    }
    return tuple(ref for ref in decided.refs if ref not in kept)


def _is_in_use(image: Image, stacks: set[tuple[Digest, ...]]) -> bool:
    return image.config is not None and image.config.diff_ids in stacks
