"""The root filesystem that a step starts from, as its layers' indexes say: where files are, without a mount.

Grows by one layer a step. It tells a COPY which directories are there, where symlinks lead, and who the users
are; contents are read from the layers' tars.
"""

import os
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Final

from layerstore.errors import InvalidLayer, storage_error
from layerstore.layer.entry import Entry, Kind
from layerstore.layer.files import INDEX, TAR
from layerstore.layer.layer_index import read_layer_changes
from layerstore.layer.names import shown
from layerstore.layer.tree import MAX_SYMLINKS, Node, Tree

_READ: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW


class RootTree:
    """A stack of layers, each given by its directory in the store, the lowest first."""

    def __init__(self, layers: Sequence[str] = ()) -> None:
        """Raises `StoreDamaged`, `StorageError`, `InvalidLayer`."""
        self._tree = Tree()
        self._layers: list[str] = []
        for layer in layers:
            self.add(layer)

    def add(self, layer: str) -> None:
        """Put one more layer on top. Raises like the constructor."""
        with ExitStack() as opened:
            self._tree.apply(read_layer_changes(_open(os.path.join(layer, INDEX), opened)))
        self._layers.append(layer)

    def find(self, path: bytes) -> Entry | None:
        """What is at `path`, whose parents are no symlinks; a symlink itself is not followed."""
        node = self._tree.root if not path else self._tree.find(path)
        return None if node is None else node.entry._replace(path=path)

    def with_owner(self, entry: Entry) -> Entry:
        """`entry` with the owner that its path has here, where it claims to be root's, as all files of a tree do
        that a user without other ids unpacked.
        """
        if entry.uid or entry.gid or entry.kind is Kind.WHITEOUT:
            return entry
        present = self.find(entry.path)
        if present is None or present.kind is not entry.kind:
            return entry
        return entry._replace(uid=present.uid, gid=present.gid)

    def resolve(self, path: bytes) -> bytes:
        """`path` with all symlinks on it followed inside the root, also the last; what is missing stays.

        Raises `InvalidLayer` for a loop.
        """
        pending = path.split(b"/")[::-1]
        done: list[bytes] = []
        links = 0
        while pending:
            part = pending.pop()
            if part in (b"", b"."):
                continue
            if part == b"..":
                del done[-1:]
                continue
            entry = self.find(b"/".join([*done, part]))
            if entry is None or entry.kind is not Kind.SYMLINK:
                done.append(part)
                continue
            links += 1
            if links > MAX_SYMLINKS:
                raise InvalidLayer(f"cannot reach {shown(path)}: more than {MAX_SYMLINKS} symlinks")
            if entry.link.startswith(b"/"):
                done.clear()
            pending += entry.link.split(b"/")[::-1]
        return b"/".join(done)

    def read(self, path: bytes, limit: int) -> bytes:
        """The first `limit` bytes of the file at `path`, links followed; empty where no plain file is there.

        Raises `InvalidLayer` for links without end, `StorageError`.
        """
        node = self._node(self.resolve(path))
        if node is None or node.entry.kind is not Kind.REGULAR or node.entry.sparse is not None:
            return b""
        with ExitStack() as opened:
            tar = _open(os.path.join(self._layers[node.layer], TAR), opened)
            return os.pread(tar, min(limit, node.entry.size), node.entry.offset)

    def _node(self, path: bytes) -> Node | None:
        return self._tree.find(path) if path else None


def _open(path: str, opened: ExitStack) -> int:
    try:
        fd = os.open(path, _READ)
    except OSError as error:
        raise storage_error(error, f"read {path}") from error
    opened.callback(os.close, fd)
    return fd
