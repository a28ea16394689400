"""Write a tar as a stream, member by member, the same bytes for the same members.

All members are plain files of root, mode 0644, with time 0. Names and sizes that ustar cannot hold get
a PAX header. The output need not be seekable, so a member that breaks off spoils the archive: then
nothing more can be added, and the archive never gets the index that would make it one.
"""

import tarfile
from collections.abc import Callable
from functools import partial
from typing import Protocol

from layerstore.content import CHUNK, Readable
from layerstore.errors import Conflict, ContentMismatch, file_error

_BLOCK = tarfile.BLOCKSIZE
_RECORD = tarfile.RECORDSIZE


class Output(Protocol):
    """A binary file to write to; it may be a pipe."""

    def write(self, data: bytes | memoryview, /) -> int | None:
        """Write some of `data`, and say how many bytes: all of them unless the file is unbuffered."""
        ...

    def flush(self) -> None:
        """Send off what is buffered."""
        ...


Writer = Callable[["Member"], None]
"""Gives a member its bytes, exactly as many as were announced."""


class TarWriter:
    """A tar on its way to `output`, which stays the caller's to close."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._position = 0
        self._is_spoilt = False

    def add_file(self, name: str, size: int, writer: Writer) -> None:
        """The plain file `name` of `size` bytes, which `writer` writes.

        Raises `ContentMismatch` where it writes another number, `StorageError`, and what `writer` raises;
        after any of these, every further call raises `Conflict`.
        """
        if self._is_spoilt:
            raise Conflict("cannot add to the archive: a member before this one broke off")
        self._is_spoilt = True
        self._write(_header(name, size))
        member = Member(name, size, self._write)
        writer(member)
        member.check_complete()
        self._write(bytes(-size % _BLOCK))
        self._is_spoilt = False

    def add_bytes(self, name: str, data: bytes) -> None:
        """The plain file `name` that holds `data`.

        Raises `Conflict` after a member that broke off, `StorageError`.
        """
        self.add_file(name, len(data), lambda member: member.write(data))

    def finish(self) -> None:
        """End the tar and flush it. Nothing can be added afterwards. Raises `Conflict`, `StorageError`."""
        if self._is_spoilt:
            raise Conflict("cannot finish the archive: a member broke off")
        self._is_spoilt = True
        self._write(bytes(2 * _BLOCK))
        self._write(bytes(-self._position % _RECORD))
        try:
            self._output.flush()
        except OSError as error:
            raise file_error(error, "write the archive") from error

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        self._position += len(view)
        try:
            while view:
                view = view[self._output.write(view) or 0 :]
        except OSError as error:
            raise file_error(error, "write the archive") from error


class Member:
    """The member being written: it counts what it gets."""

    def __init__(self, name: str, size: int, write: Callable[[bytes], None]) -> None:
        self._name = name
        self._left = size
        self._write = write

    def write(self, data: bytes) -> None:
        """The next bytes. Raises `ContentMismatch` past the announced size, `StorageError`."""
        self._left -= len(data)
        if self._left < 0:
            raise ContentMismatch(f"{self._name} is longer than was announced")
        self._write(data)

    def copy_from(self, stream: Readable) -> None:
        """All bytes that `stream` still gives. Raises as `write` does, and what `stream` raises."""
        for data in iter(partial(stream.read, CHUNK), b""):
            self.write(data)

    def check_complete(self) -> None:
        """Raises `ContentMismatch` unless all the announced bytes came."""
        if self._left:
            raise ContentMismatch(f"{self._name} is {self._left} bytes shorter than was announced")


def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    info.mode = 0o644
    return info.tobuf(format=tarfile.PAX_FORMAT)
