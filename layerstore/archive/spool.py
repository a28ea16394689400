"""An archive file, however it comes, as an uncompressed regular file that can be read by position.

A plain tar on disk is used where it is. What is compressed (gzip, zstd; told by magic) or cannot be
sought in, such as a pipe, goes through one pass into a file without a name: nothing stays behind, even
if the process is killed.
"""

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Protocol

from layerstore.content import CHUNK
from layerstore.errors import (
    InvalidArchive,
    InvalidLayer,
    NotFound,
    UnsupportedContent,
    file_error,
    storage_error,
)
from layerstore.layer.codec import MAGIC_SIZE, decompressor, detect
from layerstore.oci.mediatype import Compression

MAX_ARCHIVE = 1 << 40
"""Bytes of one archive once it is uncompressed."""
_CODEC_PREFIXES = ("cannot decompress layer: ", "cannot read layer: ")


class OpenFile(Protocol):
    """An open binary file, such as standard input; nothing has been read from it."""

    def fileno(self) -> int:
        """Its descriptor."""
        ...


@contextmanager
def opened_archive_file(source: str | OpenFile, spool_directory: str) -> Iterator[int]:
    """A descriptor of the uncompressed archive, to be read by position until the block ends.

    `source` is a path or an open file, which stays the caller's to close. Raises `NotFound`,
    `InvalidArchive` for a broken compressed stream, `UnsupportedContent` for xz and bzip2,
    `LimitExceeded`, `StorageError`.
    """
    fd = source.fileno() if not isinstance(source, str) else _open(source)
    shown = source if isinstance(source, str) else "standard input"
    try:
        with _uncompressed(fd, shown, spool_directory) as descriptor:
            yield descriptor
    finally:
        if isinstance(source, str):
            os.close(fd)


def _open(path: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise NotFound(f"no file {path}") from error
    except OSError as error:
        raise file_error(error, f"open {path}") from error


@contextmanager
def _uncompressed(fd: int, shown: str, spool_directory: str) -> Iterator[int]:
    try:
        spooled = None if _is_plain_tar(fd, shown) else _spool(fd, shown, spool_directory)
    except OSError as error:
        raise storage_error(error, f"unpack {shown} into {spool_directory}") from error
    if spooled is None:
        yield fd
        return
    with spooled:
        yield spooled.fileno()


def _is_plain_tar(fd: int, shown: str) -> bool:
    """Whether `fd` is uncompressed and stands at the start of a regular file."""
    if not stat.S_ISREG(os.fstat(fd).st_mode) or os.lseek(fd, 0, os.SEEK_CUR) != 0:
        return False
    return _detected(os.pread(fd, MAGIC_SIZE, 0), shown) == "none"


def _spool(fd: int, shown: str, directory: str) -> IO[bytes]:
    """A file without a name that holds what `fd` gives, uncompressed."""
    file = tempfile.TemporaryFile(dir=directory, buffering=0)  # noqa: SIM115  # the caller closes it
    try:
        _decompress(fd, shown, file)
    except BaseException:
        file.close()
        raise
    return file


def _decompress(fd: int, shown: str, file: IO[bytes]) -> None:
    data = _read_magic(fd)
    codec = decompressor(_detected(data, shown), limit=MAX_ARCHIVE)
    try:
        while data:
            for chunk in codec.decompress(data):
                _write(file, chunk)
            data = os.read(fd, CHUNK)
        codec.finish()
    except InvalidLayer as error:
        raise InvalidArchive(f"cannot unpack {shown}: {_reason(error.message)}") from error


def _read_magic(fd: int) -> bytes:
    """The first bytes of a stream, enough to tell its compression unless it is shorter than that."""
    data = b""
    while len(data) < MAGIC_SIZE and (more := os.read(fd, MAGIC_SIZE - len(data))):
        data += more
    return data


def _detected(head: bytes, shown: str) -> Compression:
    try:
        return detect(head)
    except UnsupportedContent as error:
        raise UnsupportedContent(f"cannot unpack {shown}: {_reason(error.message)}") from error


def _write(file: IO[bytes], data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def _reason(message: str) -> str:
    for prefix in _CODEC_PREFIXES:
        message = message.removeprefix(prefix)
    return message
