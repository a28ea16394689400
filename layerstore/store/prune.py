"""Which images may go: those that nothing uses, by name, by last use, by a cap on what they take together.

`plan_prune` decides; `PrunePlan.execute` takes the refs away; a collection of what then is not `left`
gives the space back. All of it under one hold of the store lock.
"""

from collections import Counter
from collections.abc import Iterable

from layerstore.dataclass import dataclass
from layerstore.disk.trees import Meter
from layerstore.store.closure import Closure
from layerstore.store.gc import Marked
from layerstore.store.refs import Ref
from layerstore.store.store import Store


@dataclass(frozen=True, slots=True)
class PrunePlan:
    """The refs that go, the least recently used first, and what is alive without them."""

    refs: tuple[Ref, ...]
    left: Marked

    def __str__(self) -> str:
        return "\n".join(f"image {ref.name or ref.descriptor.digest}" for ref in self.refs)

    def execute(self, store: Store) -> None:
        """Take the refs away, durably. The caller has held the store lock since before `mark`."""
        doomed = set(self.refs)
        store.refs.update(lambda table: table.without(doomed.__contains__))


def plan_prune(
    store: Store,
    marked: Marked,
    *,
    all_unused: bool = False,
    until: float | None = None,
    keep_size: int | None = None,
) -> PrunePlan:
    """The images that go: the nameless ones, or with `all_unused` all that no container stands on.

    With `until`, in seconds since 1970, only those last used before it. With `keep_size`, in bytes on disk,
    the least recently used ones until all images together take no more than that, as far as they may go.
    """
    candidates = [ref for ref, closure in marked.by_ref.items() if _may_go(marked, ref, closure, all_unused)]
    last_used = {ref: store.blobs.last_used(ref.descriptor) for ref in candidates}
    if until is not None:
        candidates = [ref for ref in candidates if last_used[ref] < until]
    candidates.sort(key=last_used.__getitem__)
    if keep_size is not None:
        candidates = _until_small(store, marked, candidates, keep_size)
    return PrunePlan(tuple(candidates), marked.without(candidates))


def _may_go(marked: Marked, ref: Ref, closure: Closure, all_unused: bool) -> bool:
    return (all_unused or ref.name is None) and not closure.manifests & marked.in_use


def _until_small(store: Store, marked: Marked, candidates: Iterable[Ref], keep_size: int) -> list[Ref]:
    paths = {ref: _paths(store, closure) for ref, closure in marked.by_ref.items()}
    owners = Counter(path for owned in paths.values() for path in owned)
    sizes = {path: Meter().measure(path).size for path in owners}
    total = sum(sizes.values())
    doomed: list[Ref] = []
    for ref in candidates:
        if total <= keep_size:
            break
        doomed.append(ref)
        owners.subtract(paths[ref])
        total -= sum(sizes[path] for path in paths[ref] if not owners[path])
    return doomed


def _paths(store: Store, closure: Closure) -> list[str]:
    blobs = [store.layout.blob(digest) for digest in closure.blobs]
    return [*blobs, *(store.layers.path(diff_id) for diff_id in closure.layers)]
