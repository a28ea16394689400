"""Stacks for the steps of a build: layers of our own as they are, on the index that was merged for those below.

    DIRECTORY/index   the merged index of the lowest layers, a name of the file that another snapshot has; none
                      where one layer's own will do
    DIRECTORY/root    an empty directory with the attributes of the root, the topmost lower; none where no layer
                      is stacked

docs/adr/0003-merge-policy.md says why, and when all are merged after all.
"""

import os
from collections.abc import Sequence
from contextlib import ExitStack

from layerstore.disk.trees import sync_tree
from layerstore.errors import storage_error
from layerstore.layer.files import INDEX, TAR
from layerstore.layer.layer_index import read_layer_changes, read_superblock
from layerstore.layer.merge import layer_facts, may_stack
from layerstore.mount import Directory, ErofsImage, Lower
from layerstore.snapshot.driver import RootAttributes
from layerstore.snapshot.erofs import ErofsDriver, read_index
from layerstore.store.forms import read_forms

_ROOT = "root"


class StackingDriver(ErofsDriver):
    """EROFS too, quick to assemble where `ErofsDriver` is quick to mount: for what lasts as long as a few steps."""

    home = "stacked"

    def assemble(self, layers: Sequence[str], directory: str, parent: str | None) -> None:
        """Stack on what `parent` has merged, where that shows the layers right, or merge as few as will do.

        Raises `InvalidLayer`, `StorageError`, `StoreDamaged`.
        """
        merged = 0 if parent is None else _merged(parent)
        count = _to_be_merged(layers, merged)
        try:
            if count != merged or not _share(parent, directory):
                super().assemble(layers[:count], directory, None)
            if count < len(layers):
                self._make_root(layers, count, directory)
            sync_tree(directory)
        except OSError as error:
            raise storage_error(error, f"stack layers in {directory}") from error

    def lowers(self, layers: Sequence[str], directory: str) -> tuple[Lower, ...]:
        """The root's directory, each stacked layer, and one image of all that are merged."""
        root = os.path.join(directory, _ROOT)
        if not os.path.isdir(root):
            return super().lowers(layers, directory)
        count = _merged(directory)
        stacked = (
            ErofsImage(os.path.join(layer, INDEX), (os.path.join(layer, TAR),))
            for layer in reversed(layers[count:])
        )
        return (Directory(root), *stacked, *super().lowers(layers[:count], directory))

    def root(self, layers: Sequence[str], directory: str) -> RootAttributes:
        """As the root's directory has them, where there is one. Raises `StoreDamaged`, `StorageError`."""
        try:
            status = os.stat(os.path.join(directory, _ROOT), follow_symlinks=False)
        except FileNotFoundError:
            return super().root(layers, directory)
        except OSError as error:
            raise storage_error(error, f"read {directory}") from error
        return RootAttributes(status.st_mode & 0o7777, status.st_uid, status.st_gid)

    def _make_root(self, layers: Sequence[str], count: int, directory: str) -> None:
        """The root's directory, as the topmost layer has it that has an entry for it. Raises ``OSError``."""
        own = (os.path.join(layer, INDEX) for layer in reversed(layers[count:]) if _has_root(layer))
        reader = read_index(next(own, None) or self.index(layers[:count], directory))
        root = reader.root
        path = os.path.join(directory, _ROOT)
        os.mkdir(path, 0o700)
        os.chown(path, root.uid, root.gid)
        os.chmod(path, root.mode)
        for name, value in reader.xattrs(root).items():
            os.setxattr(path, name, value)
        os.utime(path, ns=(root.mtime * 10**9 + root.nsec,) * 2)


def _to_be_merged(layers: Sequence[str], merged: int) -> int:
    """How many of the lowest layers are to be one index, if `merged` of them have one; those from elsewhere are."""
    facts = [layer_facts(layer) for layer in layers]
    foreign = max((number for number, layer in enumerate(layers, 1) if read_forms(layer) is None), default=1)
    choices = (count for count in (merged, foreign) if count >= foreign)
    return next((count for count in choices if may_stack(facts, merged=count)), len(layers))


def _merged(directory: str) -> int:
    """How many layers the index in the assembled `directory` covers; without one it is the lowest layer's own."""
    try:
        with open(os.path.join(directory, INDEX), "rb") as stream:
            return read_superblock(stream.fileno()).devices
    except FileNotFoundError:
        return 1
    except OSError as error:
        raise storage_error(error, f"read {directory}") from error


def _share(parent: str | None, directory: str) -> bool:
    """Whether `directory` now has what `parent` has merged; not where a collection took that meanwhile."""
    if parent is None:
        return False
    try:
        os.link(os.path.join(parent, INDEX), os.path.join(directory, INDEX))
    except FileNotFoundError:
        return os.path.isdir(parent)
    return True


def _has_root(layer: str) -> bool:
    """Whether the layer, one of our own and so sorted, has an entry for the root."""
    with ExitStack() as opened:
        stream = opened.enter_context(open(os.path.join(layer, INDEX), "rb"))
        first = next(read_layer_changes(stream.fileno()), None)
        return first is not None and not first.path
