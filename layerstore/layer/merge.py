"""One index for several layers: their changes applied to one tree, their tars as its devices.

When to merge and when to stack is a measured policy: docs/adr/0003-merge-policy.md.
"""

import hashlib
import os
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Final

from layerstore.errors import storage_error
from layerstore.layer.changes import Facts
from layerstore.layer.erofs import Device, write_index
from layerstore.layer.files import INDEX, TAR
from layerstore.layer.layer_index import read_layer_facts, read_superblock, stored_changes
from layerstore.layer.source import TarFile
from layerstore.layer.tree import Tree

MAX_STACKED: Final = 16
"""Layers above a merged index: each costs every mount 0.2 ms, merging costs once 3 µs for each entry below."""


def merge_layers(layers: Sequence[str], index: str) -> None:
    """Write the new file `index` over the layers in the directories `layers`, lowest first.

    The image's devices are the layers' tars, in the same order. Equal layers give equal bytes.

    Raises `InvalidLayer` for layers that do not fit on each other (hardlinks to nothing, parents that are
    no directories), `LimitExceeded`, `StoreDamaged` for damaged index files, `StorageError`.
    """
    with ExitStack() as opened:
        output = _open(opened, index, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        tree = Tree()
        devices = []
        identity = hashlib.sha256()
        for layer in layers:
            source = TarFile(_open(opened, os.path.join(layer, TAR), os.O_RDONLY))
            with ExitStack() as read:
                part = _open(read, os.path.join(layer, INDEX), os.O_RDONLY)
                tree.apply_stored(stored_changes(part))
                identity.update(read_superblock(part).uuid)
            devices.append(Device(source, source.length()))
        write_index(tree, devices, output, identity.digest())


def may_stack(layers: Sequence[Facts], *, merged: int) -> bool:
    """Whether `layers`, lowest first, may be mounted as they are, without merging anew.

    The lowest `merged` of them are one merged index already (0 where none is); those above would each be a
    lower of their own. True where overlayfs shows all of them right and there are at most `MAX_STACKED`.
    """
    if not merged and layers and not layers[0].stands_alone:
        return False
    above = layers[max(merged, 1) :]
    return len(above) <= MAX_STACKED and all(layer.is_stackable for layer in above)


def layer_facts(layer: str) -> Facts:
    """What is known of the layer in directory `layer`. Raises `StoreDamaged`, `StorageError`."""
    with ExitStack() as opened:
        return read_layer_facts(_open(opened, os.path.join(layer, INDEX), os.O_RDONLY))


def _open(opened: ExitStack, path: str, flags: int) -> int:
    try:
        fd = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    except OSError as error:
        raise storage_error(error, f"open {path}") from error
    opened.callback(os.close, fd)
    return fd
