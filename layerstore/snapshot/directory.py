"""The driver ``directory``: a stack's files unpacked into one directory, for whoever cannot mount EROFS.

    DIRECTORY/fs       the merged root filesystem
    DIRECTORY/layers   the names of its layers, bottom first, one a line

Works as root, as root of a user namespace and as an ordinary user, each as far as `Ownership` says. With subordinate
ids an ordinary user unpacks in a process that is root among them (`layerstore.snapshot.mapped_trees`). Stacks that
begin with the same layers share the inodes of the files that those layers gave both.
"""

import os
import stat
from collections.abc import Sequence
from contextlib import ExitStack

from layerstore.disk.trees import sync_tree
from layerstore.errors import storage_error
from layerstore.layer.apply import Base, Contents, apply_tree, contents_of
from layerstore.layer.descent import DIRECTORY_FLAGS
from layerstore.layer.files import INDEX, TAR
from layerstore.layer.layer_index import read_layer_changes
from layerstore.layer.ownership import Ownership
from layerstore.layer.tree import Tree
from layerstore.mount import Directory, Lower
from layerstore.snapshot.driver import Driver, RootAttributes
from layerstore.snapshot.mapped_trees import IdMapper, assemble_mapped

NAME = "directory"
_FS = "fs"
_LAYERS = "layers"
_MAX_LIST = 1 << 20
_FILE = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW


class DirectoryDriver:
    """Unpacks with the `ownership` that is given, or else as root among `ids`, or as this process can."""

    name = NAME

    def __init__(self, ownership: Ownership | None = None, ids: IdMapper | None = None) -> None:
        self._ids = ids
        self._ownership = ownership or (Ownership.of_process() if ids is None else Ownership.MAPPED)

    @property
    def home(self) -> str:
        """One for each set of ids, since what is unpacked with others has other owners."""
        return NAME if self._ids is None else f"{NAME}-{self._ids.name}"

    @property
    def keeps_owners(self) -> bool:
        """Unless what has been unpacked here may be of one owner alone."""
        return self._ids is not None or self._ownership is Ownership.EXACT

    @property
    def needs_userxattr(self) -> bool:
        """``trusted.*`` attributes need root of the machine."""
        return self._ownership is not Ownership.EXACT

    def for_steps(self) -> Driver:
        """Itself: what the next step shares it need not unpack."""
        return self

    def assemble(self, layers: Sequence[str], directory: str, parent: str | None) -> None:
        """Unpack; what `parent` has unpacked already is linked. Raises what `Tree.apply` and `apply_tree` raise."""
        if self._ids is not None:
            assemble_mapped(self._ids, list(layers), directory, parent)
            return
        names = [os.path.basename(layer) for layer in layers]
        try:
            with ExitStack() as opened:
                self._unpack(layers, directory, _Parent.open(parent, names, opened), opened)
            with open(os.path.join(directory, _LAYERS), "x", encoding="utf-8") as stream:
                stream.writelines(f"{name}\n" for name in names)
            sync_tree(directory)
        except OSError as error:
            raise storage_error(error, f"unpack layers to {directory}") from error

    def lowers(self, layers: Sequence[str], directory: str) -> tuple[Lower, ...]:
        """The one directory."""
        return (Directory(os.path.join(directory, _FS)),)

    def root(self, layers: Sequence[str], directory: str) -> RootAttributes:
        """As the directory has them; root's where it is another's whom this user cannot give a directory to.

        Raises `StorageError`.
        """
        try:
            status = os.stat(os.path.join(directory, _FS), follow_symlinks=False)
        except OSError as error:
            raise storage_error(error, f"read {directory}") from error
        if self._ids is not None:
            return RootAttributes(stat.S_IMODE(status.st_mode), os.geteuid(), os.getegid())
        return RootAttributes(stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)

    def _unpack(
        self, layers: Sequence[str], directory: str, parent: "_Parent | None", opened: ExitStack
    ) -> None:
        tree, tars = Tree(), []
        contents: Contents = {}
        for number, layer in enumerate(layers):
            if parent is not None and number == parent.layers:
                contents = contents_of(tree.root)
            tars.append(_open(os.path.join(layer, TAR), _FILE, opened))
            with ExitStack() as read:
                tree.apply(read_layer_changes(_open(os.path.join(layer, INDEX), _FILE, read)))
        path = os.path.join(directory, _FS)
        os.mkdir(path, 0o700)
        target = _open(path, DIRECTORY_FLAGS, opened)
        base = None if parent is None else Base(parent.fd, contents)
        apply_tree(tree.root, tars, target, ownership=self._ownership, base=base)


class _Parent:
    """An earlier stack: its root filesystem, open, and how many of our layers are its own."""

    def __init__(self, fd: int, layers: int) -> None:
        self.fd = fd
        self.layers = layers

    @classmethod
    def open(cls, directory: str | None, names: Sequence[str], opened: ExitStack) -> "_Parent | None":
        """The parent in `directory`, unless it does not hold exactly the lowest of the layers `names`."""
        if directory is None:
            return None
        try:
            with open(os.path.join(directory, _LAYERS), encoding="utf-8") as stream:
                theirs = stream.read(_MAX_LIST).splitlines()
        except FileNotFoundError:
            return None
        if not theirs or theirs != list(names[: len(theirs)]):
            return None
        return cls(_open(os.path.join(directory, _FS), DIRECTORY_FLAGS, opened), len(theirs))


def _open(path: str, flags: int, opened: ExitStack) -> int:
    fd = os.open(path, flags)
    opened.callback(os.close, fd)
    return fd
