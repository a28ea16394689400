"""The driver ``erofs``: nothing is unpacked; the kernel mounts one merged index over all layers' tars."""

import gc
import mmap
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from layerstore.disk.trees import sync_tree
from layerstore.errors import storage_error
from layerstore.layer.files import INDEX, TAR
from layerstore.mount import ErofsImage, Lower
from layerstore.snapshot.driver import Driver, RootAttributes

if TYPE_CHECKING:
    from layerstore.layer.index import IndexReader

NAME = "erofs"


class ErofsDriver:
    """Stacks of any number of layers are one EROFS, so overlayfs sees a single lower."""

    name = home = NAME
    keeps_owners = True
    needs_userxattr = False

    def for_steps(self) -> Driver:
        """Stacks what a merge would take longer to mount."""
        from layerstore.snapshot.stacked import StackingDriver  # noqa: PLC0415 - builds alone

        return StackingDriver()

    def assemble(self, layers: Sequence[str], directory: str, parent: str | None) -> None:
        """Write the merged index, unless one layer's own will do: it may hide nothing, and must lack nothing."""
        from layerstore.layer.merge import layer_facts, merge_layers  # noqa: PLC0415 - most commands assemble nothing

        if len(layers) > 1 or any(not layer_facts(layer).stands_alone for layer in layers):
            with _uncollected():
                merge_layers(layers, os.path.join(directory, INDEX))
            sync_tree(directory)

    def lowers(self, layers: Sequence[str], directory: str) -> tuple[Lower, ...]:
        """One image over the tars, in the order of the layers."""
        if not layers:
            return ()
        tars = tuple(os.path.join(layer, TAR) for layer in layers)
        return (ErofsImage(self.index(layers, directory), tars),)

    def root(self, layers: Sequence[str], directory: str) -> RootAttributes:
        """As the index has them. Raises `StoreDamaged`, `StorageError`."""
        if not layers:
            return RootAttributes(0o755, 0, 0)
        inode = read_index(self.index(layers, directory)).root
        return RootAttributes(inode.mode, inode.uid, inode.gid)

    def index(self, layers: Sequence[str], directory: str) -> str:
        """The file of the one index over these layers, at least one."""
        merged = os.path.join(directory, INDEX)
        return merged if len(layers) > 1 or os.path.exists(merged) else os.path.join(layers[0], INDEX)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Look for no cycles meanwhile: a merge's objects live to its end, and walking them takes a tenth of its time."""
    if not gc.isenabled():  # or another thread's merge has seen to it, and will undo it
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def read_index(path: str) -> "IndexReader":
    """The index in the file at `path`, mapped until its reader goes. Raises `StoreDamaged`, `StorageError`."""
    from layerstore.layer.index import IndexReader  # noqa: PLC0415 - most commands look into nothing

    try:
        with open(path, "rb") as stream:
            return IndexReader(memoryview(mmap.mmap(stream.fileno(), 0, prot=mmap.PROT_READ)))
    except OSError as error:
        raise storage_error(error, f"read {path}") from error
