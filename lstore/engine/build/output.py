"""Where a build's result goes beside the store: an archive for other tools, or the files of its root."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import BinaryIO, Literal

from layerstore.archive.docker_archive_writer import DockerArchiveWriter
from layerstore.archive.oci_archive_writer import OciArchiveWriter
from layerstore.archive.oci_layout import LayoutDirectory
from layerstore.copy import copy
from layerstore.errors import Conflict, UsageError, file_error
from layerstore.layer.apply import apply_tree
from layerstore.layer.entry import Kind
from layerstore.layer.files import INDEX, TAR
from layerstore.layer.layer_index import read_layer_changes
from layerstore.layer.ownership import Ownership
from layerstore.layer.pack import Member, pack
from layerstore.layer.tree import Node, Tree, walk
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.reference import Reference
from layerstore.store.store import Store
from lstore.engine.build.build import Built
from lstore.engine.build.image import BuiltImage
from lstore.engine.engine import Engine
from lstore.engine.packed import AS_STORED, Packing, packed
from lstore.engine.save import StoredTars

Format = Literal["oci", "docker", "tar"]
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW


def write_archive(
    engine: Engine,
    built: Built,
    names: tuple[Reference, ...],
    kind: Format,
    output: BinaryIO,
    packing: Packing | None = None,
) -> None:
    """Write the result as an OCI archive, a docker archive, or the plain tar of its root filesystem.

    With `packing` an OCI archive's layers are compressed so; else they are as the store has them.

    Raises `UsageError` where it has several platforms and the format only one, `StorageError`.
    """
    match kind:
        case "oci":
            writer = OciArchiveWriter(output)
            with packed(engine.store, _root(built), packing or AS_STORED) as (source, root):
                copy(source, writer, root, parallel=1)
                for name in names:
                    writer.tag(root, str(name))
                if not names:
                    writer.add_root(root)
                writer.finish()
        case "docker":
            archive = DockerArchiveWriter(output, StoredTars(engine.store))
            image = _only(built)
            _unpack(engine, image)
            archive.add(image.config, names)
            archive.finish()
        case "tar":
            _write_tree(engine, _only(built), output)


def write_layout(
    store: Store, built: Built, names: tuple[Reference, ...], path: str, packing: Packing | None = None
) -> None:
    """Write the result into the OCI image layout at `path`, made where it is missing. Durable.

    Raises `Conflict`, `StorageError`.
    """
    layout = LayoutDirectory.create(path)
    with packed(store, _root(built), packing or AS_STORED) as (source, root):
        copy(source, layout, root)
        for name in names:
            layout.tag(root, str(name))
        if not names:
            layout.tag(root, "latest")


def write_files(engine: Engine, built: Built, path: str) -> None:
    """Write the files of the result's root into the directory `path`, which is empty or missing, as our own.

    Raises `Conflict` where it holds something, `StorageError`.
    """
    try:
        os.makedirs(path, exist_ok=True)
        if os.listdir(path):
            raise Conflict(f"cannot write the result to {path}: it holds other files")
        with opened_tree(engine, _only(built)) as (tree, tars), ExitStack() as opened:
            directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            opened.callback(os.close, directory)
            apply_tree(tree.root, tars, directory, ownership=Ownership.IGNORED)
    except OSError as error:
        raise file_error(error, f"write the result to {path}") from error


def _root(built: Built) -> Descriptor:
    return built.index.descriptor if built.index is not None else built.images[0].descriptor


def _only(built: Built) -> BuiltImage:
    """Its one image; what is stated about it has no place in such formats."""
    if len(built.images) > 1:
        raise UsageError("cannot write several platforms in this format", hint="--output type=oci,dest=FILE")
    return built.images[0]


def _unpack(engine: Engine, image: BuiltImage) -> None:
    engine.snapshotter.ensure_layers(image.manifest.layers, image.config.diff_ids)


@contextmanager
def opened_tree(engine: Engine, image: BuiltImage) -> Iterator[tuple[Tree, list[int]]]:
    """The image's merged tree, and its layers' tars, open. Raises `StoreDamaged`, `StorageError`."""
    _unpack(engine, image)
    tree, tars = Tree(), []
    with ExitStack() as opened:
        for diff_id in image.config.diff_ids:
            directory = engine.store.layers.path(diff_id)
            index, tar = (os.open(os.path.join(directory, name), _READ) for name in (INDEX, TAR))
            opened.callback(os.close, index)
            opened.callback(os.close, tar)
            tree.apply(read_layer_changes(index))
            tars.append(tar)
        yield tree, tars


def _write_tree(engine: Engine, image: BuiltImage, output: BinaryIO) -> None:
    with opened_tree(engine, image) as (tree, tars):
        pack(_members(tree.root, tars), output.write)


def _members(root: Node, tars: list[int]) -> Iterator[Member]:
    """The members of the whole tree; a file's further names are links to its first."""
    names: dict[int, bytes] = {}
    for path, node in walk(root):
        entry = node.entry._replace(path=path)
        if not path:
            continue
        first = names.setdefault(id(node), path)
        if first != path:
            yield Member(entry._replace(kind=Kind.HARDLINK, size=0, link=first, sparse=None))
        elif entry.kind is Kind.REGULAR:
            yield Member(entry, partial(_pread, tars[node.layer]))
        else:
            yield Member(entry)


def _pread(fd: int, offset: int, size: int) -> bytes:
    return os.pread(fd, size, offset)
