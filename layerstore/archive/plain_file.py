"""Open what ought to be a plain file in a directory that somebody else made.

Symbolic links (the last component's and those above it), FIFOs and devices are refused, and opening
never blocks (CVE-2026-48749, CVE-2025-11395). openat2(2), open(2).
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from layerstore.content import Readable
from layerstore.errors import InvalidArchive, LimitExceeded, NotFound, file_error
from layerstore.linux.files import RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, openat2

_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
_BENEATH = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS
_IS_LINK = frozenset({errno.ELOOP, errno.EXDEV})


@contextmanager
def opened_plain_file(directory: str, name: str, offset: int = 0) -> Iterator[Readable]:
    """The bytes of the plain file `name` below `directory`, from `offset` on.

    Raises `NotFound`, `InvalidArchive` where it is no plain file or behind a link, `StorageError`.
    """
    with os.fdopen(_open(directory, name), "rb", buffering=0) as stream:
        stream.seek(offset)
        yield stream


def read_plain_file(directory: str, name: str, *, limit: int) -> bytes:
    """All bytes of the plain file `name`. Raises as `opened_plain_file`, and `LimitExceeded` over `limit`."""
    with os.fdopen(_open(directory, name), "rb") as stream:
        data = stream.read(limit + 1)
    if len(data) > limit:
        raise LimitExceeded(f"{name} in {directory} is longer than {limit} bytes")
    return data


def plain_file_size(directory: str, name: str) -> int | None:
    """The size in bytes of the plain file `name`; None where there is none. Raises as `opened_plain_file`."""
    try:
        descriptor = _open(directory, name)
    except NotFound:
        return None
    try:
        return os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)


def _open(directory: str, name: str) -> int:
    where = os.path.join(directory, name)
    try:
        parent = os.open(directory, _DIRECTORY)
        try:
            descriptor = openat2(parent, name, _FILE, resolve=_BENEATH)
        finally:
            os.close(parent)
    except FileNotFoundError as error:
        raise NotFound(f"no file {where}") from error
    except OSError as error:
        if error.errno in _IS_LINK:
            raise InvalidArchive(f"{where} is a symbolic link, where a plain file is wanted") from error
        if error.errno == errno.ENXIO:
            raise InvalidArchive(f"{where} is a socket, where a plain file is wanted") from error
        raise file_error(error, f"open {where}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise InvalidArchive(f"{where} is no plain file")
    return descriptor
