"""Copy a graph of content from any source to any target: bounded, de-duplicated, children first.

Children first is also the crash-safe order: whatever a target holds, it holds whole. Pull, push, save,
load and the CI cache are each a few lines around `copy` (oras-go taught us that).
"""

from collections.abc import Callable
from functools import partial

from layerstore.content import Source, Target, children, has_children, opened_bytes, read_document
from layerstore.errors import LimitExceeded
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.digest import Digest
from layerstore.oci.manifest import Index, Manifest, parse
from layerstore.tasks import Cancellation, run_all

MAX_DEPTH = 8
"""Indexes inside indexes. Real images have one."""
MAX_NODES = 100_000
"""Distinct pieces of content in one graph."""
MAX_DOCUMENT_BYTES = 512 << 20
"""Bytes of manifests and indexes in one graph, all of which are held until their children have arrived."""
PARALLEL = 3
"""Blobs under way at once, unless the caller says otherwise: as many as docker's, and as layers have help."""

Select = Callable[[Manifest | Index], tuple[Descriptor, ...]]
"""Which children of a node to follow; the default is all of them."""


def copy(
    source: Source,
    target: Target,
    root: Descriptor,
    *,
    select: Select = children,
    parallel: int = PARALLEL,
    cancellation: Cancellation | None = None,
) -> None:
    """Everything below `root`, then `root` itself, from `source` into `target`. Tags nothing.

    A node that the target has is neither fetched nor looked into. Raises what source and target raise;
    then some children may have arrived, but no node without its own. A target that looks at `cancellation`
    (a `Transaction` has its own) gives up what it has under way as soon as something failed.
    """
    graph = _Graph(source, target, select)
    graph.explore(root, depth=0)
    largest_first = sorted(graph.leaves.values(), key=lambda leaf: leaf.size, reverse=True)
    moves = [partial(graph.move, leaf) for leaf in largest_first]  # so the last to end is a short one
    run_all(moves, limit=parallel, cancellation=cancellation)
    for node in graph.inner:  # post-order: children stand before their parents
        target.push(node, partial(opened_bytes, graph.documents[node]))


class _Graph:
    """What lies below one root and is not in the target yet."""

    def __init__(self, source: Source, target: Target, select: Select) -> None:
        self._source = source
        self._target = target
        self._select = select
        self._seen: set[Descriptor] = set()
        self._document_bytes = 0
        self.leaves: dict[tuple[Digest, int], Descriptor] = {}  # one blob may go by several media types
        self.inner: list[Descriptor] = []
        self.documents: dict[Descriptor, bytes] = {}

    def explore(self, node: Descriptor, *, depth: int) -> None:
        if node in self._seen:
            return
        self._seen.add(node)
        if len(self._seen) > MAX_NODES or depth > MAX_DEPTH:
            raise LimitExceeded(f"image graph below {node.digest} is too large")
        if not has_children(node):
            self.leaves.setdefault((node.digest, node.size), node)
            return
        if self._target.has(node):
            return
        self._document_bytes += node.size
        if self._document_bytes > MAX_DOCUMENT_BYTES:
            raise LimitExceeded(f"manifests up to {node.digest} take more than {MAX_DOCUMENT_BYTES} bytes")
        raw = read_document(self._source, node)
        for child in self._select(parse(raw, node.media_type)):
            self.explore(child, depth=depth + 1)
        self.documents[node] = raw
        self.inner.append(node)

    def move(self, leaf: Descriptor) -> None:
        if not self._target.has(leaf):
            self._target.push(leaf, partial(self._source.fetch, leaf))
