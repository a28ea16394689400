"""Open whatever holds images: a layout directory or an archive file, its format told by what is in it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from layerstore.archive.docker_archive import MANIFEST_FILE, read_docker_archive
from layerstore.archive.layout_index import INDEX_FILE, LAYOUT_FILE
from layerstore.archive.members import Members
from layerstore.archive.oci_archive import read_oci_archive
from layerstore.archive.oci_layout import LayoutDirectory
from layerstore.archive.spool import OpenFile, opened_archive_file
from layerstore.archive.tar_archive import ImageArchive, TarArchive
from layerstore.errors import InvalidArchive, LimitExceeded, UnsupportedContent

LEGACY_FILE = "repositories"


@contextmanager
def open_archive(source: str | OpenFile, spool_directory: str) -> Iterator[ImageArchive]:
    """The images in `source`, readable until the block ends.

    `source` is the path of an OCI layout directory, of an OCI archive or of a docker archive (1.10 and
    later), plain or compressed with gzip or zstd; or an open file with one of the latter, such as
    standard input. What has to be uncompressed first goes to a nameless file in `spool_directory`.

    Raises `NotFound`, `InvalidArchive`, `UnsupportedContent`, `LimitExceeded`, `StorageError`.
    """
    if isinstance(source, str) and os.path.isdir(source):
        yield LayoutDirectory.open(source)
        return
    with opened_archive_file(source, spool_directory) as fd:
        yield _read(fd, source if isinstance(source, str) else "standard input")


def _read(fd: int, shown: str) -> TarArchive:
    try:
        return _images_in(Members.read(fd))
    except (InvalidArchive, LimitExceeded, UnsupportedContent) as error:
        raise type(error)(f"cannot read {shown}: {error.message}", hint=error.hint) from error


def _images_in(members: Members) -> TarArchive:
    if LAYOUT_FILE in members and (INDEX_FILE in members or MANIFEST_FILE not in members):
        return read_oci_archive(members)
    if MANIFEST_FILE in members:
        return read_docker_archive(members)
    if LEGACY_FILE in members:
        raise UnsupportedContent(
            "the archive is of docker before 1.10: it names no image configuration",
            hint="load it into a current docker or podman and save it again",
        )
    raise InvalidArchive(
        f"the archive holds no images: neither {LAYOUT_FILE} nor {MANIFEST_FILE} is in it",
        hint="lstore import FILE, if it is a root filesystem",
    )
