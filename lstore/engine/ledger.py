"""What each layer of an image does to the ones below it: adds, changes, hides, and stores in vain.

Pure: layers come as `Entry`s. `layerstore.layer.tree` has the rules; here is kept what it forgets, which
is what was there before.
"""

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

from layerstore.dataclass import dataclass
from layerstore.layer.entry import Entry, Kind
from layerstore.layer.tree import MAX_SYMLINKS, Node, Tree, walk

Letter = Literal["A", "C", "D"]
_MARKS = frozenset({Kind.WHITEOUT, Kind.OPAQUE})


class Change(NamedTuple):
    """What one layer makes of one path: added where nothing was before, deleted where nothing is after."""

    path: bytes
    """Where the file really is, symlinks of its parents followed."""
    before: Entry | None
    after: Entry | None

    @property
    def letter(self) -> Letter:
        """Docker's letter for it."""
        if self.before is None:
            return "A"
        return "C" if self.after is not None else "D"


class Stored(NamedTuple):
    """A regular file as a layer has it, whether or not the image shows it in the end."""

    path: bytes
    layer: int
    entry: Entry

    @property
    def size(self) -> int:
        """Bytes of it in the layer's tar: the holes of a sparse file are not there."""
        return stored_size(self.entry)


@dataclass(frozen=True, slots=True)
class LayerAccount:
    """One layer: its changes by path in byte order, and the files it stores, in the order of its tar."""

    changes: tuple[Change, ...]
    stored: tuple[Stored, ...]


class Ledger:
    """Applies layers one by one, and keeps account."""

    def __init__(self) -> None:
        self.tree = Tree()
        self.layers: list[LayerAccount] = []
        self._hider: dict[int, int] = {}
        self._pending: dict[bytes, tuple[Entry | None, Entry | None]] = {}
        self._stored: list[Stored] = []
        self._parents: dict[bytes, tuple[bytes, dict[bytes, Node]]] = {}
        self._emptied: set[int] = set()

    def apply(self, changes: Iterable[Entry]) -> None:
        """Put the next layer on top. Raises what `Tree.apply` raises."""
        marks: list[Entry] = []
        entries: list[Entry] = []
        for change in changes:
            (marks if change.kind in _MARKS else entries).append(change)
        for mark in marks:
            self._note_hidden(mark)
        self.tree.apply(marks)
        self._emptied.clear()  # what was hidden is freed, and its identity may be another's
        for entry in entries:
            self._add(entry)
        self.layers.append(LayerAccount(self._settled(), tuple(self._stored)))
        self._pending, self._stored = {}, []
        self._parents.clear()

    def live(self) -> frozenset[int]:
        """Of the files that the image shows, the identities (`id`) of their entries."""
        return frozenset(id(node.entry) for _, node in walk(self.tree.root))

    def hider(self, stored: Stored) -> int:
        """The layer that took the last name of a file that the image no longer shows."""
        return self._hider.get(id(stored.entry), stored.layer)

    def _note_hidden(self, mark: Entry) -> None:
        is_opaque = mark.kind is Kind.OPAQUE
        parent, _, name = (mark.path, b"", b"") if is_opaque else mark.path.rpartition(b"/")
        found = locate(self.tree.root, parent)
        if found is None:
            return
        place, node = found
        children = (node.children if node is not None else None) or {}
        if is_opaque and node is not None:
            self._remove_below(place, node)
        elif name in children:
            self._remove(_join(place, name), children[name])

    def _add(self, entry: Entry) -> None:
        if not entry.path:
            self._put(b"", self.tree.root.entry, entry)
            self.tree.add(entry)
            return
        parent, _, name = entry.path.rpartition(b"/")
        place, children = self._parent(parent)
        path = _join(place, name)
        present = children.get(name)
        before = None if present is None else present.entry
        self.tree.add(entry)
        node = children[name]
        if present is not None and node is not present:
            self._remove(path, present)
            self._emptied.clear()
            if present.children is not None or present.entry.kind is Kind.SYMLINK:
                self._parents.clear()  # names may resolve anew
        self._put(path, before, node.entry)
        if entry.kind is Kind.REGULAR:
            self._stored.append(Stored(path, len(self.layers), entry))

    def _parent(self, path: bytes) -> tuple[bytes, dict[bytes, Node]]:
        """Where the directory `path` really is, and what it has. It is made, as adding to it would make it."""
        known = self._parents.get(path)
        if known is None:
            found = locate(self.tree.root, path)
            missing = [] if found is None or found[1] is not None else _missing(self.tree.root, found[0])
            directory = self.tree.directory(path)
            if found is None or directory.children is None:
                raise AssertionError("the tree has just walked there")
            for place in missing:  # nobody names these directories, and yet they are new
                self._put(place, None, directory.entry)
            known = self._parents[path] = (found[0], directory.children)
        return known

    def _put(self, path: bytes, before: Entry | None, after: Entry) -> None:
        first = self._pending.get(path, (before, None))[0]
        self._pending[path] = (first, after)

    def _remove(self, path: bytes, node: Node) -> None:
        self._take_away(path, node)
        self._remove_below(path, node)

    def _remove_below(self, path: bytes, directory: Node) -> None:
        """Note each name under `directory` as gone; each directory once, however many marks hide it."""
        pending = [(path, directory)]
        while pending:
            place, node = pending.pop()
            if not node.children or id(node) in self._emptied:
                continue
            self._emptied.add(id(node))
            for name, child in node.children.items():
                below = _join(place, name)
                self._take_away(below, child)
                pending.append((below, child))

    def _take_away(self, path: bytes, node: Node) -> None:
        first = self._pending.get(path, (node.entry, None))[0]
        self._pending[path] = (first, None)
        if node.entry.kind is Kind.REGULAR:
            self._hider[id(node.entry)] = len(self.layers)

    def _settled(self) -> tuple[Change, ...]:
        """What is different now, by path. A directory that is only restated is not."""
        return tuple(
            Change(path, before, after)
            for path, (before, after) in sorted(self._pending.items())
            if before is not after and not _is_restated(before, after)
        )


def locate(root: Node, path: bytes) -> tuple[bytes, Node | None] | None:
    """Where `path` really is under `root`, all symlinks followed, and what is there.

    What is missing is taken as it is written, with None for a node. None on a loop of symlinks.
    """
    trail: list[tuple[bytes, Node | None]] = []
    pending = path.split(b"/")[::-1]
    followed = 0
    while pending:
        name = pending.pop()
        if name in (b"", b"."):
            continue
        if name == b"..":
            trail = trail[:-1]
            continue
        node = trail[-1][1] if trail else root
        child = None if node is None or node.children is None else node.children.get(name)
        if child is None or child.entry.kind is not Kind.SYMLINK:
            trail.append((name, child))
            continue
        followed += 1
        if followed > MAX_SYMLINKS:
            return None
        target = child.entry.link
        if target.startswith(b"/"):
            trail = []
        pending += target.split(b"/")[::-1]
    return b"/".join(name for name, _ in trail), trail[-1][1] if trail else root


def _missing(root: Node, path: bytes) -> list[bytes]:
    """The directories on the way down to `path`, where it really would be, that are not there."""
    place, node = b"", root
    found: list[bytes] = []
    for name in path.split(b"/"):
        place = _join(place, name)
        child = None if found else (node.children or {}).get(name)
        if child is None:
            found.append(place)
        else:
            node = child
    return found


def stored_size(entry: Entry) -> int:
    """Bytes of the content of a regular file in its tar; 0 for everything else."""
    return entry.size if entry.sparse is None else sum(length for _, length in entry.sparse)


def _is_restated(before: Entry | None, after: Entry | None) -> bool:
    if before is None or after is None or not before.kind is after.kind is Kind.DIRECTORY:
        return False
    return _metadata(before) == _metadata(after)


def _metadata(entry: Entry) -> tuple[int, int, int, Mapping[bytes, bytes]]:
    return entry.mode, entry.uid, entry.gid, entry.xattrs


def _join(directory: bytes, name: bytes) -> bytes:
    return directory + b"/" + name if directory else name
