"""A layer on its own, for overlayfs to stack: its whiteouts become overlayfs's own marks.

Linux ``Documentation/filesystems/overlayfs.rst``, "whiteouts and opaque directories": a removed name is
a 0:0 character device, a directory that hides what lies below carries ``trusted.overlay.opaque=y``
(``user.overlay.opaque`` in mounts with ``userxattr``).
"""

from typing import Final

from layerstore.errors import InvalidLayer
from layerstore.layer.entry import Entry, Kind
from layerstore.layer.tree import Node, Tree

TRUSTED_OPAQUE: Final = b"trusted.overlay.opaque"
USER_OPAQUE: Final = b"user.overlay.opaque"
_WHITEOUT: Final = Entry(b"", Kind.CHARACTER)


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
        which overlayfs ignores.
        """
        has_opaque_root = any(mark.kind is Kind.OPAQUE and not mark.path for mark in self._marks)
        return not (
            self._left_out or has_opaque_root or self.tree.has_implied or self.tree.has_followed_symlink
        )

    def take(self, change: Entry) -> None:
        """Put in the next change. Raises `LimitExceeded`."""
        if change.kind in (Kind.WHITEOUT, Kind.OPAQUE):
            self._marks.append(change)
            return
        try:
            self.tree.add(change)
        except InvalidLayer:
            self._left_out = True

    def finish(self) -> Tree:
        """The tree, marks set. No change can be taken afterwards."""
        for mark in self._marks:
            try:
                if mark.kind is Kind.OPAQUE:
                    self._make_opaque(self.tree.directory(mark.path))
                else:
                    self._white_out(mark)
            except InvalidLayer:
                self._left_out = True
        return self.tree

    def _white_out(self, mark: Entry) -> None:
        parent, _, name = mark.path.rpartition(b"/")
        directory = self.tree.directory(parent)
        present = (directory.children or {}).get(name)
        if present is None:
            self.tree.add(_WHITEOUT._replace(path=mark.path))
        elif present.children is not None:  # removed and made anew: the lower one must not shine through
            self._make_opaque(present)

    def _make_opaque(self, directory: Node) -> None:
        entry = directory.entry
        directory.entry = entry._replace(xattrs={**entry.xattrs, self._opaque_name: b"y"})
