"""The tree that layers make: changes applied in memory, lowest layer first, by OCI's rules.

OCI image-spec, layer.md, "Applying Changesets". `Tree.apply` is the whole of an image; a layer on its
own, to be stacked by overlayfs, is `layerstore.layer.standalone`'s.

A node's place is its key in its parent's `children`, so that hardlinks are one `Node` under several
keys, and a replaced or removed name takes nothing from the others. Parents that are symlinks are
resolved inside the root, as the kernel would with ``RESOLVE_IN_ROOT``.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from layerstore.errors import InvalidLayer, LimitExceeded
from layerstore.layer.changes import StoredChanges
from layerstore.layer.entry import MAX_ENTRIES, Entry, Kind
from layerstore.layer.names import PATH_MAX, shown
from layerstore.layer.record import Held, held_kind, to_entry

MAX_SYMLINKS: Final = 40
"""The kernel's MAXSYMLINKS, ``include/linux/namei.h``."""
MAX_STEPS: Final = 50_000_000
"""Path components walked for one tree: some hundred times what the largest images need. Without a bound,
a layer of 50 MB could name 40 symlinks of 2,000 components in each of its entries, and take an hour."""
_DIRECTORY: Final = Kind.DIRECTORY
_SYMLINK: Final = Kind.SYMLINK
_HARDLINK: Final = Kind.HARDLINK
_MARKS: Final = frozenset({Kind.WHITEOUT, Kind.OPAQUE})
_IMPLIED: Final = Entry(b"", _DIRECTORY, 0o755)


class Node:
    """One inode: what its entry says, which layer (counted from 0) has its data, what a directory holds."""

    __slots__ = ("children", "held", "layer", "links", "nid")

    def __init__(self, held: Held, layer: int) -> None:
        self.held = held
        """Its entry, as the tree was given it: a record takes a fifth of the memory."""
        self.layer = layer
        kind = held[0] if isinstance(held, bytes) else held.kind
        self.children: dict[bytes, Node] | None = {} if kind == _DIRECTORY else None
        self.nid = -1
        """Its place in the index and its link count: `layerstore.layer.erofs` fills them in."""
        self.links = 0

    @property
    def kind(self) -> Kind:
        """What it is."""
        return held_kind(self.held)

    @property
    def entry(self) -> Entry:
        """What its entry says: the entry that the tree was given, or one without a path that equals it else."""
        return to_entry(self.held)


class Tree:
    """A root filesystem's inodes, grown layer by layer."""

    def __init__(self) -> None:
        self.root = Node(_IMPLIED, 0)
        self.has_implied = False
        """Whether some directory had no entry of its own when it was needed as a parent."""
        self.has_followed_symlink = False
        """Whether some entry's parent was reached through a symlink."""
        self._layer = -1
        self._made = 0
        self._steps = 0
        self._parents: dict[bytes, dict[bytes, Node]] = {}

    def apply(self, changes: Iterable[Entry]) -> None:
        """Put the next layer on top.

        Whiteouts go first, whatever their order: they are about lower layers only. Raises
        `InvalidLayer` for parents that are no directories, symlink loops and hardlinks to nothing;
        `LimitExceeded` past `MAX_ENTRIES` nodes, and past `PATH_MAX` bytes of parents, symlinks followed.
        """
        self.begin_layer()
        changes = list(changes)
        for change in changes:
            if change.kind in _MARKS:
                self._hide(change)
        for change in changes:
            if change.kind not in _MARKS:
                self.add(change)

    def apply_stored(self, changes: StoredChanges) -> None:
        """As `apply`, in less memory: entries are held as records. Raises `StoreDamaged`, too."""
        self.begin_layer()
        for mark in changes.marks():
            self._hide(mark)
        for path, held in changes.others():
            self.put(path, held)

    def begin_layer(self) -> None:
        """What is added from now on belongs to the next layer."""
        self._layer += 1
        self._parents.clear()

    def add(self, entry: Entry) -> None:
        """Put one entry, not a mark, into its place; what is there gives way. Raises like `apply`."""
        self.put(entry.path, entry)

    def put(self, path: bytes, held: Held) -> None:
        """As `add`, for an entry of `path` that is to be held in this form."""
        if not path:
            self.root.held = held
            self.root.layer = self._layer
            return
        parent, _, name = path.rpartition(b"/")
        children = self._parents.get(parent)
        if children is None:
            children = self._parents[parent] = _held(self.directory(parent))
        present = children.get(name)
        if not isinstance(held, bytes) and held.kind is _HARDLINK:  # it has a target, so it is no record
            self._link(children, name, held)
        elif present is None:
            children[name] = self._new(held)
        elif present.children is not None and held_kind(held) is _DIRECTORY:
            present.held = held
            present.layer = self._layer
        else:
            self._forget_parents(present)
            children[name] = self._new(held)

    def find(self, path: bytes) -> Node | None:
        """The node at `path`, parents' symlinks followed, its own not. None where there is none.

        Raises `InvalidLayer` on a symlink loop.
        """
        parent, _, name = path.rpartition(b"/")
        holder = self._walk(parent, path, make=False)
        return None if holder is None or holder.children is None else holder.children.get(name)

    def directory(self, path: bytes) -> Node:
        """The directory at `path`, symlinks followed; it and its parents are made where missing.

        Raises `InvalidLayer` on a symlink loop and where something else is in the way.
        """
        node = self._walk(path, path, make=True)
        if node is None:
            raise InvalidLayer(f"cannot reach {shown(path)}: a parent is no directory")
        return node

    def _new(self, held: Held) -> Node:
        self._made += 1
        if self._made > MAX_ENTRIES:
            raise LimitExceeded(f"cannot build tree: more than {MAX_ENTRIES} files and directories")
        return Node(held, self._layer)

    def _link(self, children: dict[bytes, Node], name: bytes, entry: Entry) -> None:
        target = self.find(entry.link)
        if target is None or target.children is not None:
            what = "is missing" if target is None else "is a directory"
            raise InvalidLayer(f"cannot make hardlink {shown(entry.path)}: {shown(entry.link)} {what}")
        present = children.get(name)
        if present is not None and present is not target:
            self._forget_parents(present)
        children[name] = target

    def _hide(self, mark: Entry) -> None:
        """Remove what a whiteout or an opaque marker hides, if it is there."""
        is_opaque = mark.kind is Kind.OPAQUE
        parent, _, name = (mark.path, b"", b"") if is_opaque else mark.path.rpartition(b"/")
        holder = self._walk(parent, mark.path, make=False)
        if holder is None or holder.children is None:
            return
        if is_opaque:
            holder.children.clear()
        else:
            holder.children.pop(name, None)

    def _forget_parents(self, replaced: Node) -> None:
        """Names may resolve anew once a directory or a symlink is gone."""
        if replaced.children is not None or replaced.kind is _SYMLINK:
            self._parents.clear()

    def _walk(self, directory: bytes, path: bytes, *, make: bool) -> Node | None:
        """The node of `directory`. None where it is none, or is missing and not to be made.

        Symlinks as parents could build trees deeper than `PATH_MAX`, where nobody can go by name.
        """
        above: list[tuple[Node, int]] = []
        node, length = self.root, 0
        pending = self._components(directory)
        followed = 0
        while pending:
            name = pending.pop()
            if not name or name == b".":
                continue
            if name == b"..":
                node, length = above.pop() if above else (node, length)
                continue
            child = self._child(node, name, make=make)
            if child is None:
                return None
            if child.kind is _SYMLINK:
                followed += 1
                if followed > MAX_SYMLINKS:
                    raise InvalidLayer(f"cannot reach {shown(path)}: more than {MAX_SYMLINKS} symlinks")
                self.has_followed_symlink = True
                target = child.entry.link
                if target.startswith(b"/"):
                    above, node, length = [], self.root, 0
                pending += self._components(target)
            elif child.children is None:
                return None
            else:
                above.append((node, length))
                node = child
                length += len(name) + 1
                if length > PATH_MAX:
                    raise LimitExceeded(
                        f"cannot reach {shown(path)}: it is deeper than any path, with symlinks followed"
                    )
        return node

    def _components(self, path: bytes) -> list[bytes]:
        """The components of `path`, last first, counted against `MAX_STEPS`."""
        components = path.split(b"/")[::-1]
        self._steps += len(components)
        if self._steps > MAX_STEPS:
            raise LimitExceeded(f"cannot build tree: more than {MAX_STEPS} path components to walk")
        return components

    def _child(self, parent: Node, name: bytes, *, make: bool) -> Node | None:
        """What `parent`, a directory, has under `name`; perhaps a directory made for the occasion."""
        children = _held(parent)
        child = children.get(name)
        if child is None and make:
            child = children[name] = self._new(_IMPLIED)
            self.has_implied = True
        return child


def _held(directory: Node) -> dict[bytes, Node]:
    if directory.children is None:
        raise AssertionError("only directories are walked into")
    return directory.children


def walk(root: Node) -> Iterator[tuple[bytes, Node]]:
    """Every (path, node) under `root`, itself included: parents first, names in byte order."""
    pending = [(b"", root)]
    while pending:
        path, node = pending.pop()
        yield path, node
        prefix = path + b"/" if path else b""
        below = sorted((node.children or {}).items(), reverse=True)
        pending += [(prefix + name, child) for name, child in below]
