"""A file that a command writes for the user: it appears whole, or what was there before stays."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

from layerstore.disk.publish import move, remove_file, temporary_name
from layerstore.errors import file_error


@contextmanager
def output_file(path: str) -> Iterator[BinaryIO]:
    """A file that becomes `path` if the block succeeds; a link stays, and what it leads to is replaced.

    What is no regular file (a pipe, a device), or is open already (``/dev/stdout``), is written as it is.
    Raises `StorageError`.
    """
    if _is_special(path):
        with _written(path, path) as stream:
            yield stream
        return
    target = os.path.realpath(path)
    temporary = temporary_name(*os.path.split(target))
    try:
        with _written(temporary, path) as stream:
            yield stream
        move(temporary, target)
    finally:
        with suppress(OSError):  # where it could not be made it cannot be removed either
            remove_file(temporary)


def _is_special(path: str) -> bool:
    try:
        return not stat.S_ISREG(os.stat(path).st_mode) or _is_descriptor(path)
    except OSError:
        return False


def _is_descriptor(path: str) -> bool:
    """Whether the existing `path` names a descriptor, by links such as ``/dev/stdout``. proc(5), /proc/pid/fd."""
    while not (directory := os.path.realpath(os.path.dirname(path))).startswith("/proc/"):
        if not os.path.islink(path):
            return False
        path = os.path.join(directory, os.readlink(path))
    return True


@contextmanager
def _written(path: str, shown: str) -> Iterator[BinaryIO]:
    try:
        stream = open(path, "wb")  # noqa: SIM115  # closed below, in two ways
    except OSError as error:
        raise file_error(error, f"write {shown}") from error
    try:
        yield stream
    except BaseException:
        with suppress(OSError):  # the bytes left in its buffer are worthless, and must not hide the failure
            stream.close()
        raise
    try:
        stream.close()
    except OSError as error:
        raise file_error(error, f"write {shown}") from error
