"""An image opened for reading: its layers' tars and indexes, without a mount and without a privilege.

What `ls`, `cat`, `diff` and `explore` start from. Layers that are missing are unpacked first.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from layerstore.dataclass import dataclass
from layerstore.errors import storage_error
from layerstore.layer.entry import Entry
from layerstore.layer.files import INDEX, TAR
from layerstore.layer.layer_index import read_layer_changes
from layerstore.oci.config import ImageConfig
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.digest import Digest
from layerstore.oci.manifest import Manifest
from layerstore.oci.platform import Platform
from layerstore.progress import SILENT, Progress
from lstore.engine import catalog

if TYPE_CHECKING:
    from lstore.engine.engine import Engine

_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW


@dataclass(frozen=True, slots=True)
class OpenLayer:
    """One layer: what names it, and where it lies. `tar` is the descriptor of its uncompressed tar."""

    descriptor: Descriptor
    diff_id: Digest
    directory: str
    tar: int

    def changes(self) -> Iterator[Entry]:
        """The layer's changes, in the order of its tar. Raises `StoreDamaged`, `StorageError`."""
        with ExitStack() as opened:
            yield from read_layer_changes(_open(os.path.join(self.directory, INDEX), opened))


@dataclass(frozen=True, slots=True)
class OpenImage:
    """An image of the store whose layers are there, the lowest first."""

    id: Digest
    manifest: Manifest
    config: ImageConfig
    layers: tuple[OpenLayer, ...]


@contextmanager
def open_image(
    engine: "Engine", text: str, platform: Platform | None = None, progress: Progress = SILENT
) -> Iterator[OpenImage]:
    """The image that `text` means for `platform` or this host; its files are closed at the end of the block.

    Raises `NotFound`, `StoreDamaged`, `UnsupportedContent` for an artifact, and what unpacking raises.
    """
    found = catalog.find(engine.store, text, platform or engine.platform)
    image = catalog.for_platform(found, platform, text)
    manifest, config = catalog.parts(image, text)
    engine.snapshotter.ensure(manifest, config, progress)
    with ExitStack() as opened:
        layers = []
        for descriptor, diff_id in zip(manifest.layers, config.diff_ids, strict=True):
            directory = engine.store.layers.path(diff_id)
            tar = _open(os.path.join(directory, TAR), opened)
            layers.append(OpenLayer(descriptor, diff_id, directory, tar))
        yield OpenImage(image.id, manifest, config, tuple(layers))


def _open(path: str, opened: ExitStack) -> int:
    try:
        fd = os.open(path, _READ)
    except OSError as error:
        raise storage_error(error, f"read {path}") from error
    opened.callback(os.close, fd)
    return fd
