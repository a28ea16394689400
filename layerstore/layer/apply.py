"""A merged `Tree` written out as a directory: the layers' files, made escape-proof and fast.

Every step goes by one name relative to a directory's descriptor, never through a symlink, and metadata
goes by the descriptor of the very inode that was made; no path is ever put together. Files get their
metadata at once, directories when all below them is done, so that their times stay and nothing is
inherited from them. What remains of a failed attempt is the caller's to remove.

What an ordinary user cannot make is left out as moby's and containers/storage's unpackers do it in a user
namespace: device nodes are skipped, attributes that the kernel refuses are dropped (`Ownership`).
"""

import errno
import os
import stat
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from layerstore.dataclass import dataclass
from layerstore.errors import InvalidLayer, storage_error
from layerstore.layer.copying import copy_data
from layerstore.layer.descent import DIRECTORY_FLAGS, Descent
from layerstore.layer.entry import Entry, Kind
from layerstore.layer.metadata import make_plain, restore, restore_at
from layerstore.layer.names import shown
from layerstore.layer.ownership import Ownership
from layerstore.layer.tree import Node

_PRIVATE: Final = 0o700
_NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_TYPES: Final = {Kind.FIFO: stat.S_IFIFO, Kind.CHARACTER: stat.S_IFCHR, Kind.BLOCK: stat.S_IFBLK}
_DEVICES: Final = frozenset({Kind.CHARACTER, Kind.BLOCK})
_NO_NAMES: Final = frozenset({b"", b".", b".."})
# A base that is damaged, full of links or not ours only costs the sharing.
_UNSHAREABLE: Final = frozenset(
    {errno.EACCES, errno.ELOOP, errno.EMLINK, errno.ENOENT, errno.ENOTDIR, errno.EPERM, errno.EXDEV}
)

Contents = Mapping[Node, Mapping[bytes, Node]]
"""What each directory of a tree held at some moment."""


@dataclass(frozen=True, slots=True)
class Base:
    """An earlier state of the tree that was applied to the directory open as `fd`, whose files may be shared."""

    fd: int
    contents: Contents


def contents_of(root: Node) -> Contents:
    """What every directory under `root`, itself included, holds now."""
    found: dict[Node, Mapping[bytes, Node]] = {}
    pending = [root]
    while pending:
        directory = pending.pop()
        children = directory.children or {}
        found[directory] = dict(children)
        pending += [node for node in children.values() if node.children is not None]
    return found


def apply_tree(
    root: Node, tars: Sequence[int], directory: int, *, ownership: Ownership, base: Base | None = None
) -> None:
    """Fill the empty directory that is open as `directory` with the tree `root`.

    `tars` are descriptors of the layers' uncompressed tars, by layer number. A file that `base` has at
    the same place is linked from there instead of written. Nothing is synced.

    Raises `InvalidLayer` for a tree with names that are none or attributes that are malformed,
    `UnsupportedContent` for more attributes than the file system has room for, `StoreDamaged` for a tar that
    ends too soon, `MissingFeature` for an owner that the user namespace does not map, `NoSpace`, `StorageError`.
    """
    applier = _Applier(root, tars, directory, ownership, base)
    try:
        applier.run()
    except OSError as error:
        raise storage_error(error, f"write {shown(applier.path)}") from error
    finally:
        applier.close()


class _Level:
    """One directory being filled: what is still to be made in it, and what the base had there."""

    __slots__ = ("name", "node", "pending", "shared")

    def __init__(self, name: bytes, node: Node, shared: Mapping[bytes, Node] | None) -> None:
        self.name = name
        self.node = node
        self.shared = shared
        self.pending: Iterator[tuple[bytes, Node]] = iter((node.children or {}).items())


class _Applier:
    def __init__(
        self, root: Node, tars: Sequence[int], directory: int, ownership: Ownership, base: Base | None
    ) -> None:
        self._tars = tars
        self._ownership = ownership
        self._contents: Contents = {} if base is None else base.contents
        self._walk = Descent(directory)
        self._below = None if base is None else Descent(base.fd)
        self._levels = [_Level(b"", root, self._contents.get(root))]
        self._name = b""
        self._links = _Links(root, directory)

    @property
    def path(self) -> bytes:
        """What is being made, for messages."""
        return b"/".join([*(level.name for level in self._levels[1:]), self._name])

    def run(self) -> None:
        make_plain(self._walk.fd)
        self._links.open()
        while self._levels:
            level = self._levels[-1]
            for name, node in level.pending:
                self._name = name
                if name in _NO_NAMES or b"/" in name:
                    raise InvalidLayer(f"cannot write {shown(self.path)}: {shown(name)} is no name")
                if node.children is not None:
                    self._enter(name, node)
                    break
                self._place(name, node, level)
            else:
                self._leave()

    def close(self) -> None:
        self._links.close()
        self._walk.close()
        if self._below is not None:
            self._below.close()

    def _enter(self, name: bytes, node: Node) -> None:
        shared = self._contents.get(node)
        if shared is not None and not self._enter_base(name):
            shared = None
        os.mkdir(name, _PRIVATE, dir_fd=self._walk.fd)
        self._walk.enter(name)
        self._levels.append(_Level(name, node, shared))

    def _enter_base(self, name: bytes) -> bool:
        """Follow into the base, if its parent directory could be followed into."""
        if self._below is None or self._levels[-1].shared is None:
            return False
        try:
            self._below.enter(name)
        except OSError as error:
            if error.errno not in _UNSHAREABLE:
                raise
            return False
        return True

    def _leave(self) -> None:
        """Finish the directory at hand; its parent is opened first, which its own mode may forbid later."""
        level = self._levels[-1]
        self._name = b""
        if len(self._levels) == 1:
            self._links.remove()
            restore(self._walk.fd, level.node.entry, self._ownership)
        else:
            done = self._walk.leave()
            try:
                restore(done, level.node.entry, self._ownership)
            finally:
                os.close(done)
            if level.shared is not None and self._below is not None:
                os.close(self._below.leave())
        self._levels.pop()

    def _place(self, name: bytes, node: Node, level: _Level) -> None:
        """Let `name` be a link to `node`, making it if this is its first name."""
        if node.entry.kind in _DEVICES and self._ownership is not Ownership.EXACT:
            return
        if self._links.place(node, name, self._walk.fd):
            return
        if level.shared is None or level.shared.get(name) is not node or not self._share(name):
            self._make(name, node)
        self._links.keep(node, name, self._walk.fd)

    def _share(self, name: bytes) -> bool:
        """Link `name` from the base, if it lets us."""
        if self._below is None:
            return False
        try:
            os.link(name, name, src_dir_fd=self._below.fd, dst_dir_fd=self._walk.fd, follow_symlinks=False)
        except OSError as error:
            if error.errno not in _UNSHAREABLE:
                raise
            return False
        return True

    def _make(self, name: bytes, node: Node) -> None:
        entry, directory = node.entry, self._walk.fd
        if entry.kind is Kind.REGULAR:
            self._make_file(name, entry, self._tars[node.layer])
            return
        if entry.kind is Kind.SYMLINK:
            os.symlink(entry.link, name, dir_fd=directory)
        else:
            device = os.makedev(entry.major, entry.minor)
            os.mknod(name, _TYPES[entry.kind] | 0o600, device, dir_fd=directory)
        restore_at(directory, name, entry, self._ownership)

    def _make_file(self, name: bytes, entry: Entry, tar: int) -> None:
        fd = os.open(name, _NEW_FILE, 0o600, dir_fd=self._walk.fd)
        try:
            copy_data(entry, tar, fd)
            restore(fd, entry, self._ownership)
        finally:
            os.close(fd)


class _Links:
    """Inodes of several names: each is held by a number in a directory of our own until the tree is whole.

    So a further name is linked by one step, wherever the first one is and whatever its directory's mode.
    """

    def __init__(self, root: Node, target: int) -> None:
        self._target = target
        self._several = _nodes_of_several_names(root)
        self._held: dict[Node, bytes] = {}
        self._name = b".lstore-links-" + os.urandom(8).hex().encode()
        self._fd = -1

    def open(self) -> None:
        """Make the directory, if there is anything to hold."""
        if self._several:
            os.mkdir(self._name, _PRIVATE, dir_fd=self._target)
            self._fd = os.open(self._name, DIRECTORY_FLAGS, dir_fd=self._target)

    def place(self, node: Node, name: bytes, directory: int) -> bool:
        """Give `node` the further `name` in `directory`; False where it has none yet."""
        held = self._held.get(node)
        if held is None:
            return False
        os.link(held, name, src_dir_fd=self._fd, dst_dir_fd=directory, follow_symlinks=False)
        return True

    def keep(self, node: Node, name: bytes, directory: int) -> None:
        """Remember the `node` that was made as `name`, if more names are to come."""
        if node in self._several:
            held = b"%d" % len(self._held)
            os.link(name, held, src_dir_fd=directory, dst_dir_fd=self._fd, follow_symlinks=False)
            self._held[node] = held

    def remove(self) -> None:
        """Remove the directory: all names are given."""
        if self._fd >= 0:
            for held in self._held.values():
                os.unlink(held, dir_fd=self._fd)
            os.rmdir(self._name, dir_fd=self._target)

    def close(self) -> None:
        """Close what is open. Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _nodes_of_several_names(root: Node) -> frozenset[Node]:
    names: Counter[Node] = Counter()
    pending = [root]
    while pending:
        for node in (pending.pop().children or {}).values():
            if node.children is None:
                names[node] += 1
            else:
                pending.append(node)
    return frozenset(node for node, count in names.items() if count > 1)
