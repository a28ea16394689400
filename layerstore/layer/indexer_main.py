"""The indexer's process: follows a growing tar and writes its index. Started by `layerstore.layer.indexer`.

It imports little, for every large layer pays for its start. Standard input brings `PROGRESS` records:
the tar's length so far, and at last, sealed, its whole length and the image's uuid; its end without that
means that the writer is gone. Standard output takes one answer: ``ok`` and the packed facts, or an
error's code and message.
"""

import gc
import os
import struct
from typing import Final

from layerstore.disk.locks import FileLock
from layerstore.disk.write_behind import DropBehind
from layerstore.errors import LstoreError
from layerstore.layer.layer_index import write_layer_index
from layerstore.layer.source import read_at

PROGRESS: Final = struct.Struct("<Q?16s")
ANSWER: Final = struct.Struct("<QQ??")
OK: Final = b"ok\0"

_IN: Final = 0
_OUT: Final = 1
_READ_SIZE: Final = 64 << 10
_AHEAD: Final = 8 << 10
"""Bytes read at once: the next headers are often among them, and reading 8 KiB takes hardly longer than 512 bytes."""


class WriterGone(Exception):
    """The process that writes the tar gave up: nobody waits for an answer."""


class GrowingTar:
    """A `Source` over a tar that another process appends to, and tells of through `progress`.

    It is read once, from its start to its end. What was read leaves the page cache, unless it `is_read_soon`.
    """

    def __init__(self, fd: int, progress: int, *, is_read_soon: bool) -> None:
        self._fd = fd
        self._progress = progress
        self._drop = None if is_read_soon else DropBehind(fd)
        self._available = 0
        self._ahead = b""
        self._ahead_at = 0
        self._sealed = False
        self._pending = b""
        self._uuid = b""

    def pread(self, offset: int, size: int) -> bytes:
        start = offset - self._ahead_at
        if start >= 0 and start + size <= len(self._ahead):
            return self._ahead[start : start + size]
        while self._available < offset + size and not self._sealed:
            self._hear()
        # What lies past the length told is not written yet, or never will be.
        ready = max(0, self._available - offset)
        self._ahead = read_at(self._fd, offset, min(max(size, _AHEAD), ready))
        self._ahead_at = offset
        if self._drop is not None:
            self._drop.advance(min(offset, self._available))
        return self._ahead[:size]

    def length(self) -> int:
        while not self._sealed:
            self._hear()
        return self._available

    def identity(self) -> bytes:
        """The uuid that came with the end of the tar, to which it was read."""
        self.length()
        if self._drop is not None:
            self._drop.end()
        return self._uuid

    def _hear(self) -> None:
        data = os.read(self._progress, _READ_SIZE)
        if not data:
            raise WriterGone
        data = self._pending + data
        whole = len(data) // PROGRESS.size * PROGRESS.size
        self._pending = data[whole:]
        if whole:
            self._available, self._sealed, self._uuid = PROGRESS.unpack_from(data, whole - PROGRESS.size)


def main(arguments: list[str]) -> int:
    """Index the tar open as the first argument into the file open as the second. The exit status.

    The third is 1 for marks in ``user.overlay.*``, the fourth where the tar is to stay in the page cache. The fifth
    is an open file that the indexers of one writer lock, each by a description of its own: one at a time has many
    changes in memory. Callers leave by `os._exit`: taking a hundred thousand objects down would only keep the
    writer waiting.
    """
    gc.disable()  # nothing here is cyclic, and the collector would walk it all again and again
    tar, index, userxattr, is_read_soon, turn = (int(argument) for argument in arguments)
    source = GrowingTar(tar, _IN, is_read_soon=bool(is_read_soon))
    try:
        facts = write_layer_index(
            source,
            index,
            source.identity,
            userxattr=bool(userxattr),
            await_turn=FileLock("indexers", turn).exclusive,  # our end gives it back
        )
        answer = OK + ANSWER.pack(*facts)
    except WriterGone:
        return 1
    except LstoreError as error:
        answer = b"\0".join((error.code.encode(), error.message.encode("utf-8", "backslashreplace")))
    os.write(_OUT, answer)
    return 0
