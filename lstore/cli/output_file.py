"""The file of ``-o FILE``: it appears whole, or what was there before stays."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from layerstore.disk.publish import move, remove_file, temporary_name
from layerstore.errors import storage_error


@contextmanager
def output_file(path: str) -> Iterator[BinaryIO]:
    """A file that becomes `path` if the block succeeds. What is no regular file (a pipe, a device) is written as it is.

    Raises `StorageError`.
    """
    if _is_special(path):
        with _opened(path, path) as stream:
            yield stream
        return
    directory, name = os.path.split(os.path.abspath(path))
    temporary = temporary_name(directory, name)
    try:
        with _opened(temporary, path) as stream:
            yield stream
        move(temporary, path)
    finally:
        remove_file(temporary)


def _is_special(path: str) -> bool:
    try:
        return not stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return False


def _opened(path: str, shown: str) -> BinaryIO:
    try:
        return open(path, "wb")
    except OSError as error:
        raise storage_error(error, f"write {shown}") from error
