"""``--squash``: all layers of a build as one, over those of its base image."""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial

from layerstore.build.executor import Root
from layerstore.build.solver import Solved
from layerstore.dataclass import replace
from layerstore.layer.entry import Entry, Kind
from layerstore.layer.files import INDEX, TAR
from layerstore.layer.layer_index import read_layer_changes
from layerstore.layer.pack import Member
from layerstore.layer.tree import Tree, walk
from layerstore.snapshot.commit import write_layer
from lstore.engine.build.site import Site

_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW


def squashed(site: Site, solved: Solved, clamp: int | None) -> Solved:
    """`solved` with its own layers in one; the history's last entry that made a layer has it. The base's stay.

    Raises `LimitExceeded`, `StoreDamaged`, `StorageError`.
    """
    count = len(solved.base)
    if len(solved.root.diff_ids) - count < 2:
        return solved
    site.cache.create()
    paths = site.layer_paths(solved.root)
    with ExitStack() as opened, site.workplace() as place:
        base, whole = _tree(paths[:count], opened), _tree(paths, opened)
        tars = [_open(os.path.join(path, TAR), opened) for path in paths]
        members = _members(base, whole, count, tars)
        layer = site.keep(write_layer(members, place.made, clamp=clamp), place.made)
    below = Root(solved.root.layers[:count], solved.base)
    last = max(number for number, made in enumerate(solved.made) if made is not None)
    digest = None if layer is None else layer.digest
    made = tuple(digest if number == last else None for number in range(len(solved.made)))
    return replace(solved, root=below.with_layer(layer), made=made)


def _members(base: Tree, whole: Tree, count: int, tars: Sequence[int]) -> Iterator[Member]:
    """What `whole` has otherwise than `base`, whose layers are the first `count`: removals first in each directory."""
    known, present = dict(walk(base.root)), dict(walk(whole.root))
    gone = {path for path in known if path not in present and path.rpartition(b"/")[0] in present}
    changed = {path for path, node in present.items() if path and (node.layer >= count or path not in known)}
    first_names: dict[int, bytes] = {}
    for path in sorted(gone | changed):
        if path in gone:
            yield Member(Entry(path, Kind.WHITEOUT))
            continue
        node = present[path]
        entry = node.entry._replace(path=path)
        first = first_names.setdefault(id(node), path)
        if first != path:
            yield Member(entry._replace(kind=Kind.HARDLINK, size=0, link=first, sparse=None))
        else:
            yield Member(entry, partial(_pread, tars[node.layer]) if entry.kind is Kind.REGULAR else None)


def _tree(paths: Sequence[str], opened: ExitStack) -> Tree:
    tree = Tree()
    for path in paths:
        tree.apply(read_layer_changes(_open(os.path.join(path, INDEX), opened)))
    return tree


def _open(path: str, opened: ExitStack) -> int:
    fd = os.open(path, _READ)
    opened.callback(os.close, fd)
    return fd


def _pread(fd: int, offset: int, size: int) -> bytes:
    return os.pread(fd, size, offset)
