"""`image prune`, `system prune`: what is not used goes, with all that it alone needed."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from layerstore.dataclass import dataclass, field, replace
from layerstore.errors import UsageError
from layerstore.store.gc import Plan, mark
from layerstore.store.prune import plan_prune
from layerstore.store.refs import Ref
from lstore.engine import catalog
from lstore.engine.catalog import Image
from lstore.engine.collect import plan
from lstore.engine.containers.prune import prune_containers
from lstore.engine.containers.upkeep import sweep
from lstore.engine.images import parse_moment, select
from lstore.engine.in_use import in_use
from lstore.engine.remove import Deleted, Untagged, events_of
from runner.container import rfc3339

if TYPE_CHECKING:
    from lstore.engine.engine import Engine


@dataclass(frozen=True, slots=True)
class PruneRequest:
    """Which images may go: the nameless ones, or with `all_unused` all that no container was made of.

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
    """What to say of the images that went, what went with them, and the ids of the containers that went before."""

    events: tuple[Untagged | Deleted, ...]
    plan: Plan
    containers: tuple[str, ...] = ()
    written: int = 0
    """Bytes that those containers had written."""

    @property
    def size(self) -> int:
        """The bytes freed."""
        return self.plan.usage.size + self.written


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


def prune_system(engine: "Engine", request: PruneRequest, now: datetime) -> Pruned:
    """Remove stopped containers first, then as `prune` does, with downloads that broke off. Durable.

    The filters, and `unused_since`, hold back containers too. Raises as `prune`.
    """
    select((), request.filters, now)  # refuses filters that there are not, before anything goes
    labels = {key: values for key, values in request.filters.items() if key != "until"}
    limits = [parse_moment(text, now) for text in request.filters.get("until", ())]
    containers = prune_containers(
        engine,
        until=_rfc3339(min(limits, default=None)),
        unused_since=_rfc3339(request.unused_since),
        filters=labels,
    )
    images = prune(engine, request, now, with_ingests=True)
    return replace(images, containers=containers.ids, written=containers.size)


def _rfc3339(moment: datetime | None) -> str:
    return "" if moment is None else rfc3339(int(moment.timestamp() * 10**6) * 1000)


def _doomed(
    engine: "Engine", request: PruneRequest, images: tuple[Image, ...], now: datetime
) -> tuple[Ref, ...]:
    """The refs that go: an index only if all its images may.

    An image of which a container was made stays, with every name; another one of the same layers does not.
    """
    store = engine.store
    decided = plan_prune(
        store,
        mark(store),
        all_unused=request.all_unused,
        until=request.unused_since.timestamp() if request.unused_since is not None else None,
        keep_size=request.keep_size,
    )
    used = in_use(store)
    chosen = {image.descriptor for image in select(images, request.filters, now)}
    kept = {
        ref
        for image in images
        if image.descriptor not in chosen or used.is_active(image)
        for ref in image.refs
    }
    return tuple(ref for ref in decided.refs if ref not in kept)
