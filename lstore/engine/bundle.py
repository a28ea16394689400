"""`bundle`: an image in the store → a directory that runc, crun or any other OCI runtime runs."""

from __future__ import annotations

import os

from layerstore.disk.publish import move
from layerstore.disk.removal import remove_tree
from layerstore.errors import Conflict, file_error
from layerstore.progress import SILENT
from layerstore.snapshot.directory import DirectoryDriver
from lstore.engine.containers import places
from lstore.engine.containers.find_image import find_image
from lstore.engine.containers.image_facts import facts_of
from lstore.engine.containers.request import configure
from runner.bundle import writing
from runner.bundle.config import ROOT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from layerstore.oci.config import ImageConfig
    from layerstore.progress import Progress
    from lstore.engine.containers.request import ContainerRequest
    from lstore.engine.engine import Engine

_UNPACKED = "fs"  # where the directory driver unpacks to


def bundle(engine: Engine, request: ContainerRequest, directory: str, *, progress: Progress = SILENT) -> None:
    """Write a bundle of the image into `directory`, which is made, or empty: ``rootfs`` and ``config.json``.

    The root filesystem is unpacked, and shares nothing with the store. Raises `Conflict` for a directory that has
    files, `StorageError`, and what making a container raises; then nothing is left in it.
    """
    path = os.path.abspath(directory)
    manifest, image = find_image(engine, request, progress)
    identifier = os.path.basename(path)
    config = configure(
        request,
        facts_of(image),
        identifier=identifier,
        name=identifier,
        find=lambda text: places.find(engine, text).id,
    )
    engine.snapshotter.ensure_layers(manifest.layers, image.diff_ids, progress)
    _make_empty(path)
    try:
        _unpack(engine, image, path)
        writing.write(path, config.spec, config.network, has_terminal=config.has_terminal)
    except BaseException:
        for name in os.listdir(path):
            remove_tree(os.path.join(path, name))
        raise


def _make_empty(path: str) -> None:
    try:
        os.makedirs(path, exist_ok=True)
        if os.listdir(path):
            raise Conflict(f"cannot write a bundle to {path}: it is not empty")
    except OSError as error:
        raise file_error(error, f"make {path}") from error


def _unpack(engine: Engine, image: ImageConfig, path: str) -> None:
    layers = [engine.store.layers.path(each) for each in image.diff_ids]
    made = os.path.join(path, ".unpacked")
    try:
        os.mkdir(made, 0o700)
        DirectoryDriver().assemble(layers, made, None)
        move(os.path.join(made, _UNPACKED), os.path.join(path, ROOT))
    except OSError as error:
        raise file_error(error, f"unpack {path}") from error
    finally:
        remove_tree(made)
