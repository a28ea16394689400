"""What nothing needs any more, found and removed: the store's collection with the snapshots' share of it."""

from layerstore.snapshot.snapshotter import Snapshotter
from layerstore.store.gc import Plan, mark, plan_collection
from layerstore.store.store import Store


def plan(store: Store, snapshotter: Snapshotter, *, with_ingests: bool) -> Plan:
    """What a collection would remove now; with work that broke off, too, if `with_ingests`.

    The caller holds the store lock, exclusive, and keeps it until the plan is executed.
    """
    stacks = snapshotter.held_stacks()
    marked = mark(store, {diff_id for stack in stacks for diff_id in stack})
    snapshots = () if marked.damage else snapshotter.unneeded(marked.stacks | stacks)
    return plan_collection(store, marked, with_ingests=with_ingests, snapshots=snapshots)


def collect(store: Store, snapshotter: Snapshotter, *, with_ingests: bool = False) -> Plan:
    """Remove what nothing needs; what was removed is the result. Raises `StorageError`, `StoreDamaged`."""
    with store.locked():
        decided = plan(store, snapshotter, with_ingests=with_ingests)
        decided.execute()
    return decided
