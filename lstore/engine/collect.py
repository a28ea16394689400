"""What nothing needs any more, found and removed: the store's collection with the snapshots' share of it."""

from layerstore.build.cache import BuildCache
from layerstore.oci.digest import Digest
from layerstore.snapshot.snapshotter import Snapshotter
from layerstore.snapshot.views import open_views
from layerstore.store.gc import Plan, mark, plan_collection
from layerstore.store.store import Store


def held_stacks(store: Store, snapshotter: Snapshotter) -> set[tuple[Digest, ...]]:
    """The stacks that containers, mounted views and builds stand on. Called under the store lock."""
    building = BuildCache(store.layout).held_stacks()
    return (
        building | snapshotter.held_stacks() | {view.diff_ids for view in open_views(store.layout).mounted()}
    )


def plan(store: Store, snapshotter: Snapshotter, *, with_ingests: bool) -> Plan:
    """What a collection would remove now; with work that broke off, too, if `with_ingests`.

    The caller holds the store lock, exclusive, and keeps it until the plan is executed. Raises as `mark` does.
    """
    stacks = held_stacks(store, snapshotter)
    cache = BuildCache(store.layout)
    cached = cache.layers()
    layers = {diff_id for stack in stacks for diff_id in stack} | {layer.digest for layer in cached}
    marked = mark(store, layers, cached)
    snapshots = () if marked.damage else snapshotter.unneeded(marked.stacks | stacks)
    return plan_collection(
        store,
        marked,
        with_ingests=with_ingests,
        snapshots=snapshots,
        strays=(*open_views(store.layout).stale(), *cache.strays()),
    )


def collect(store: Store, snapshotter: Snapshotter, *, with_ingests: bool = False) -> Plan:
    """Remove what nothing needs; what was removed is the result. Raises `StorageError`, `StoreDamaged`."""
    with store.locked():
        decided = plan(store, snapshotter, with_ingests=with_ingests)
        decided.execute()
    return decided
