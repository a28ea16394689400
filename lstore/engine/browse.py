"""`ls` and `cat`: an image's files read through its index, without mounting it and without a privilege."""

import mmap
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final

from layerstore.dataclass import dataclass, replace
from layerstore.errors import InvalidInput, StoreDamaged, storage_error
from layerstore.layer.entry import Kind
from layerstore.layer.files import INDEX
from layerstore.layer.index import Extent, IndexReader, Inode
from layerstore.layer.merge import layer_facts, merge_layers
from layerstore.layer.names import shown
from layerstore.mount import ErofsImage
from layerstore.oci.platform import Platform
from layerstore.progress import SILENT, Progress
from lstore.engine.open_image import OpenImage, open_image

if TYPE_CHECKING:
    from lstore.engine.engine import Engine

CHUNK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Found:
    """One file of an image: its path as asked for or come upon, and what a symlink points to."""

    path: bytes
    inode: Inode
    target: bytes = b""


class ImageFiles:
    """The files of one image, as a container of it would see them at first."""

    def __init__(self, reader: IndexReader, index: int, tars: tuple[int, ...]) -> None:
        self._reader = reader
        self._index = index
        self._tars = tars

    def find(self, path: bytes, *, follow: bool = True) -> Found:
        """The file at `path`, symlinks resolved inside the image; a last one only if `follow`.

        Raises `NotFound`, `InvalidInput` on a loop of symlinks.
        """
        inode = self._reader.find(path, follow=follow)
        if path.endswith(b"/") and inode.kind is not Kind.DIRECTORY:
            raise InvalidInput(f"cannot use {shown(path)}: not a directory")
        return self._found(path, inode)

    def list(self, directory: Found) -> Iterator[Found]:
        """What is in `directory`, by name in byte order; their paths are their names."""
        for name, inode in self._reader.children(directory.inode):
            yield self._found(name, inode)

    def walk(self, top: Found) -> Iterator[tuple[Found, tuple[Found, ...]]]:
        """Each directory from `top` down with what is in it: parents first, names in byte order.

        Raises `StoreDamaged` where a directory is found inside itself.
        """
        pending = [top]
        seen: set[int] = set()
        while pending:
            directory = pending.pop()
            if directory.inode.nid in seen:
                raise StoreDamaged(f"cannot list {shown(directory.path)}: a directory has two places")
            seen.add(directory.inode.nid)
            inside = tuple(self.list(directory))
            yield directory, inside
            prefix = directory.path.rstrip(b"/") + b"/" if directory.path else b""
            below = [each for each in inside if each.inode.kind is Kind.DIRECTORY]
            pending += [replace(each, path=prefix + each.path) for each in reversed(below)]

    def read(self, path: bytes) -> Iterator[bytes]:
        """The content of the regular file at `path`, in pieces; holes read as zeros.

        Raises `NotFound`, `InvalidInput` for what is no regular file, `StoreDamaged`.
        """
        inode = self._reader.find(path)
        if inode.kind is Kind.DIRECTORY:
            raise InvalidInput(f"cannot read {shown(path)}: is a directory", hint="lstore ls")
        if inode.kind is not Kind.REGULAR:
            raise InvalidInput(f"cannot read {shown(path)}: it is a {inode.kind.name.lower()}, not a file")
        return self._pieces(path, self._reader.extent(inode))

    def _pieces(self, path: bytes, extent: Extent) -> Iterator[bytes]:
        fd = self._index if extent.layer is None else self._tars[extent.layer]
        position, end = extent.offset, extent.offset + extent.length
        while position < end:
            try:
                data = os.pread(fd, min(CHUNK, end - position), position)
            except OSError as error:
                raise storage_error(error, f"read {shown(path)} of an image") from error
            if not data:
                raise StoreDamaged(f"cannot read {shown(path)}: its layer ends too soon")
            yield data
            position += len(data)

    def _found(self, path: bytes, inode: Inode) -> Found:
        target = self._reader.target(inode) if inode.kind is Kind.SYMLINK else b""
        return Found(path, inode, target)


@contextmanager
def image_files(
    engine: "Engine", text: str, *, platform: Platform | None = None, progress: Progress = SILENT
) -> Iterator[ImageFiles]:
    """The files of the image `text`, readable inside the block. Raises what `open_image` raises, `StoreDamaged`."""
    with ExitStack() as opened:
        image = opened.enter_context(open_image(engine, text, platform, progress))
        path = _index(engine, image, opened)
        try:
            stream = opened.enter_context(open(path, "rb"))
            mapped = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)  # unmapped with its last reader
        except OSError as error:
            raise storage_error(error, f"read {path}") from error
        yield ImageFiles(
            IndexReader(memoryview(mapped)), stream.fileno(), tuple(layer.tar for layer in image.layers)
        )


def _index(engine: "Engine", image: OpenImage, opened: ExitStack) -> str:
    """A file with the image's index: the one that is kept, or, where the driver keeps none, one made for now."""
    directories = [layer.directory for layer in image.layers]
    match engine.snapshotter.view(image.config.diff_ids).lowers:
        case (ErofsImage(index=index, devices=devices),) if len(devices) == len(directories):
            return index
    if len(directories) == 1 and layer_facts(directories[0]).stands_alone:
        return os.path.join(directories[0], INDEX)
    made = opened.enter_context(tempfile.TemporaryDirectory(prefix="lstore-index-"))
    merged = os.path.join(made, INDEX)
    merge_layers(directories, merged)
    return merged
