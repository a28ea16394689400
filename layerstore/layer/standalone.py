"""A layer on its own, for overlayfs to stack: its whiteouts become overlayfs's own marks.

Linux ``Documentation/filesystems/overlayfs.rst``, "whiteouts and opaque directories": a removed name is
a 0:0 character device, a directory that hides what lies below carries ``trusted.overlay.opaque=y``
(``user.overlay.opaque`` in mounts with ``userxattr``).
"""

from typing import Final

from layerstore.layer.entry import Entry, Kind
from layerstore.layer.tree import Node, Tree

TRUSTED_OPAQUE: Final = b"trusted.overlay.opaque"
USER_OPAQUE: Final = b"user.overlay.opaque"
_WHITEOUT: Final = Entry(b"", Kind.CHARACTER)


class StandaloneLayer:
    """Takes a layer's changes as they come; `finish` gives its tree."""

    def __init__(self, *, userxattr: bool = False) -> None:
        self.tree = Tree()
        self.tree.begin_layer()
        self.needs_merge = False
        """Whether overlayfs cannot stack this layer faithfully: see `finish`."""
        self._opaque_name = USER_OPAQUE if userxattr else TRUSTED_OPAQUE
        self._marks: list[Entry] = []

    @property
    def has_marks(self) -> bool:
        """Whether the layer removes anything, so that it makes no sense without overlayfs."""
        return bool(self._marks)

    def take(self, change: Entry) -> None:
        """Put in the next change. Raises like `Tree.add`, but lets hardlinks into lower layers be."""
        if change.kind in (Kind.WHITEOUT, Kind.OPAQUE):
            self._marks.append(change)
        elif change.kind is Kind.HARDLINK and self.tree.find(change.link) is None:
            self.needs_merge = True
        else:
            self.tree.add(change)

    def finish(self) -> Tree:
        """The tree, marks set. No change can be taken afterwards.

        `needs_merge` is then true for what only a merge with the layers below gets right: parents
        without an entry (overlayfs would show ours, not the lower one's, mode and owner), parents behind
        symlinks, hardlinks to files of lower layers, and an opaque root, which overlayfs ignores.
        """
        for mark in self._marks:
            if mark.kind is Kind.OPAQUE:
                self.needs_merge = self.needs_merge or not mark.path
                self._make_opaque(self.tree.directory(mark.path))
            else:
                self._white_out(mark)
        self.needs_merge = self.needs_merge or self.tree.has_implied or self.tree.has_followed_symlink
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
