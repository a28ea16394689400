"""Paths with sizes as a tree of directories whose sizes are sums: what a person walks through. Pure."""

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from layerstore.layer.entry import Entry, Kind

Mark = Literal["", "A", "C", "D"]


class Item(NamedTuple):
    """One path that a tree is to have."""

    path: bytes
    entry: Entry
    size: int
    """Bytes that its content takes; those of other names of the same file count once."""
    layer: int
    """The layer that it is from, lowest 0."""
    mark: Mark = ""
    """What the layer does to the path; nothing where the tree is of the whole image."""
    is_wasted: bool = False
    """Whether the content is stored and the image does not show it."""


class Branch:
    """A name in the tree: what it is, and the sums of all below it."""

    __slots__ = ("children", "deleted", "files", "item", "name", "size", "wasted")

    def __init__(self, name: bytes) -> None:
        self.name = name
        self.item: Item | None = None
        """None for a directory that only stands above others."""
        self.children: dict[bytes, Branch] = {}
        self.size = 0
        """Bytes of content at and below it; what a layer deletes is not among them."""
        self.wasted = 0
        """Of these, the bytes that the image does not show in the end."""
        self.deleted = 0
        """Bytes that the layer deletes."""
        self.files = 0
        """Names at and below it that are no directories."""

    @property
    def is_directory(self) -> bool:
        """Whether it is one, or stands for one."""
        return self.item is None or self.item.entry.kind is Kind.DIRECTORY or bool(self.children)

    def by_size(self) -> list["Branch"]:
        """What is directly in it, the largest first."""
        return sorted(self.children.values(), key=lambda each: (-each.size, each.name))


def grow(items: Iterable[Item]) -> Branch:
    """The tree of `items`, under its root."""
    root = Branch(b"")
    known: dict[bytes, list[Branch]] = {b"": [root]}
    for item in items:
        parent, _, name = item.path.rpartition(b"/")
        above = _trail(known, parent)
        leaf = above[-1].children.get(name) if item.path else root
        if leaf is None:
            leaf = above[-1].children[name] = Branch(name)
        leaf.item = item
        _add_up([*above, leaf] if item.path else above, item)
    return root


def walk(root: Branch) -> Iterator[tuple[bytes, Branch]]:
    """Every (path, branch) below `root`, itself included, names in byte order."""
    pending = [(b"", root)]
    while pending:
        path, branch = pending.pop()
        yield path, branch
        prefix = path + b"/" if path else b""
        below = sorted(branch.children.items(), reverse=True)
        pending += [(prefix + name, child) for name, child in below]


def _trail(known: dict[bytes, list[Branch]], path: bytes) -> list[Branch]:
    """The branches from the root down to the directory `path`, made where they are missing."""
    missing: list[bytes] = []
    while path not in known:
        path, _, name = path.rpartition(b"/")
        missing.append(name)
    trail = known[path]
    for name in reversed(missing):
        branch = trail[-1].children.setdefault(name, Branch(name))
        trail = [*trail, branch]
        path = path + b"/" + name if path else name
        known[path] = trail
    return trail


def _add_up(trail: list[Branch], item: Item) -> None:
    is_deleted = item.mark == "D"
    size, deleted = (0, item.size) if is_deleted else (item.size, 0)
    is_file = item.entry.kind is not Kind.DIRECTORY
    for branch in trail:
        branch.size += size
        branch.wasted += size * item.is_wasted
        branch.deleted += deleted
        branch.files += is_file
