"""A layer on its own, for overlayfs to stack: its whiteouts become overlayfs's own marks.

Linux ``Documentation/filesystems/overlayfs.rst``, "whiteouts and opaque directories": a removed name is
a 0:0 character device, a directory that hides what lies below carries ``trusted.overlay.opaque=y``
(``user.overlay.opaque`` in mounts with ``userxattr``).
"""

from typing import Final

from layerstore.errors import InvalidLayer
from layerstore.layer.entry import Entry, Kind
from layerstore.layer.record import Held
from layerstore.layer.tree import Node, Tree

TRUSTED_OPAQUE: Final = b"trusted.overlay.opaque"
USER_OPAQUE: Final = b"user.overlay.opaque"
_WHITEOUT: Final = Entry(b"", Kind.CHARACTER)
_MARKS: Final = frozenset({Kind.WHITEOUT, Kind.OPAQUE})


class StandaloneLayer:
    """Takes a layer's changes as they come; `finish` gives its tree.

    What cannot be known without the layers below is never an error here, for a merge with them may well
    succeed, or will say what is wrong: it is left out, and the two flags say so.
    """

    def __init__(self, *, userxattr: bool = False) -> None:
        self.tree = Tree()
        self.tree.begin_layer()
        self._opaque_name = USER_OPAQUE if userxattr else TRUSTED_OPAQUE
        self._marks: list[Entry] = []
        self._opaque: set[bytes] = set()
        self._left_out = False

    @property
    def stands_alone(self) -> bool:
        """Whether the tree is right as it is for an image of this layer only: all is in it, and no marks."""
        return not (self._left_out or self._marks)

    @property
    def is_stackable(self) -> bool:
        """Whether overlayfs shows the layer right on top of others.

        Only a merge gets right: parents without an entry (overlayfs would show ours, not the lower one's,
        mode and owner), parents behind symlinks, hardlinks to files of lower layers, and an opaque root,
        which overlayfs ignores. Taken for granted is that whiteouts hide something, as they do in layers
        made from an overlay's upper directory: overlayfs lists a mark in a directory that only we have.
        """
        has_opaque_root = any(mark.kind is Kind.OPAQUE and not mark.path for mark in self._marks)
        return not (
            self._left_out or has_opaque_root or self.tree.has_implied or self.tree.has_followed_symlink
        )

    def take(self, change: Entry, held: Held) -> None:
        """Put in the next change, which the tree is to hold as `held`. Raises `LimitExceeded`."""
        if change.kind in _MARKS:
            self._marks.append(change)
            return
        try:
            self.tree.put(change.path, held)
        except InvalidLayer:
            self._left_out = True

    def finish(self) -> Tree:
        """The tree, marks set. No change can be taken afterwards."""
        for place in (self._make_opaque, self._white_out):
            for mark in self._marks:
                try:
                    place(mark)
                except InvalidLayer:
                    self._left_out = True
        return self.tree

    def _make_opaque(self, mark: Entry) -> None:
        """Mark the directory that `mark` names, or that takes the place of one it removes."""
        if mark.kind is Kind.WHITEOUT:
            present = self._find(mark.path)
            if present is None or present.children is None:
                return
        directory = self.tree.directory(mark.path)
        entry = directory.entry
        directory.held = entry._replace(xattrs={**entry.xattrs, self._opaque_name: b"y"})
        self._opaque.add(mark.path)

    def _white_out(self, mark: Entry) -> None:
        """Put a device where a lower name is to vanish, unless an opaque directory hides it already.

        Below an opaque directory overlayfs merges nothing, and would list the device.
        """
        if mark.kind is Kind.WHITEOUT and self._find(mark.path) is None:
            steps = mark.path.split(b"/")
            if not any(b"/".join(steps[:end]) in self._opaque for end in range(len(steps))):
                self.tree.add(_WHITEOUT._replace(path=mark.path))

    def _find(self, path: bytes) -> Node | None:
        """What the layer itself has at `path`; parents are made where they are missing."""
        parent, _, name = path.rpartition(b"/")
        return (self.tree.directory(parent).children or {}).get(name)
