"""A build context that comes as a tar: unpacked into a directory, by the layers' own reader and writer.

So it is as safe as a layer is: no name leads out, no link is followed. In a context ``.wh.`` names mean
nothing, owners are of no interest, and device nodes are left out.
"""

from typing import Final

from layerstore.archive.spool import OpenFile, opened_archive_file
from layerstore.errors import InvalidArchive, InvalidLayer
from layerstore.layer.apply import apply_tree
from layerstore.layer.codec import detect
from layerstore.layer.entry import Kind
from layerstore.layer.ownership import Ownership
from layerstore.layer.source import TarFile
from layerstore.layer.tar import read_entries
from layerstore.layer.tree import Tree

HEAD_SIZE: Final = 512
"""Bytes that `is_tar` wants."""
_LEFT_OUT: Final = frozenset({Kind.CHARACTER, Kind.BLOCK})
_MAGIC_AT: Final = 257
_MAGIC: Final = b"ustar"


def is_tar(head: bytes) -> bool:
    """Whether a stream that starts with `head` is a tar, maybe compressed, and not a Dockerfile.

    Raises `UnsupportedContent` for xz and bzip2.
    """
    return detect(head) != "none" or head[_MAGIC_AT:].startswith(_MAGIC)


def unpack_tar_context(source: str | OpenFile, directory: int, spool_directory: str) -> None:
    """Fill the empty directory that is open as `directory` with the tar at the path or open file `source`.

    `spool_directory` takes what has to be kept meanwhile. Raises `InvalidArchive`, `UnsupportedContent`,
    `LimitExceeded`, `NotFound`, `StorageError`.
    """
    with opened_archive_file(source, spool_directory) as fd:
        tree = Tree()
        tree.begin_layer()
        try:
            for entry in read_entries(TarFile(fd)):
                if entry.kind not in _LEFT_OUT:
                    tree.add(entry)
            apply_tree(tree.root, [fd], directory, ownership=Ownership.IGNORED)
        except InvalidLayer as error:
            raise InvalidArchive(f"cannot unpack the build context: {error.message}") from error
