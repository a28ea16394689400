"""Remembers the digests of files that did not change, so that an unchanged context costs one stat per file.

A file is known by (device, inode, size, mtime, ctime); the kernel sets the last, nobody can set it back. As
in git's index, a digest is only kept if the file had rested when it was read: one written in the same tick
of the clock could be written again without another time.
"""

import hashlib
import os
import struct
import time
from collections.abc import Callable
from typing import Final

from layerstore.disk.publish import make_directories, write_file
from layerstore.errors import storage_error

MAX_RECORDS: Final = 1_000_000
DIGEST_SIZE: Final = 32
_MAGIC: Final = b"lstore digests 1\n"
_RECORD: Final = struct.Struct("<5q32s")
_TICK: Final = 20_000_000
"""Nanoseconds: twice the coarsest tick of the kernel's clock (CONFIG_HZ=100)."""
_COARSE_TICK: Final = 2_000_000_000
"""For file systems that keep whole seconds; FAT keeps every other."""
_SECOND: Final = 1_000_000_000

Identity = tuple[int, int, int, int, int]


def identity(status: os.stat_result) -> Identity:
    """What a file is known by."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


class DigestCache:
    """The digests of one context's files. Not for several threads at once."""

    def __init__(self, path: str, clock: Callable[[], int] = time.time_ns) -> None:
        """Reads the file at `path`; one that is missing, foreign or damaged is as good as empty.

        `clock` gives nanoseconds since the epoch. Raises `StorageError`.
        """
        self._path = path
        self._clock = clock
        self._known = dict(_read(path))
        self._used: dict[Identity, bytes] = {}
        self._has_news = False

    def now(self) -> int:
        """The time that `remember` wants from before a file is read."""
        return self._clock()

    def find(self, status: os.stat_result) -> bytes | None:
        """The digest of the file that has this state, if it is known."""
        key = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        digest = self._known.get(key)
        if digest is not None:
            self._used[key] = digest
        return digest

    def remember(self, status: os.stat_result, digest: bytes, read_at: int) -> None:
        """Keep the `digest` of the file that had this state, read from `read_at` on, unless it was too fresh."""
        latest = max(status.st_mtime_ns, status.st_ctime_ns)
        tick = _TICK if status.st_ctime_ns % _SECOND or status.st_mtime_ns % _SECOND else _COARSE_TICK
        if latest + tick >= read_at:
            return
        key = identity(status)
        self._known[key] = self._used[key] = digest
        self._has_news = True

    def save(self) -> None:
        """Make what is known durable, if there is news. What was not asked for goes first when it is too much.

        Raises `StorageError`, `NoSpace`.
        """
        if not self._has_news:
            return
        kept = {**self._used, **self._known} if len(self._known) > MAX_RECORDS else self._known
        records = [_RECORD.pack(*key, digest) for key, digest in list(kept.items())[:MAX_RECORDS]]
        body = b"".join(records)
        try:
            make_directories(os.path.dirname(self._path))
            write_file(self._path, _MAGIC + hashlib.sha256(body).digest() + body)
        except OSError as error:
            raise storage_error(error, f"write {self._path}") from error
        self._has_news = False


def _read(path: str) -> list[tuple[Identity, bytes]]:
    try:
        with open(path, "rb") as stream:
            raw = stream.read(len(_MAGIC) + DIGEST_SIZE + MAX_RECORDS * _RECORD.size)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise storage_error(error, f"read {path}") from error
    body = raw[len(_MAGIC) + DIGEST_SIZE :]
    if not raw.startswith(_MAGIC) or raw[len(_MAGIC) :][:DIGEST_SIZE] != hashlib.sha256(body).digest():
        return []
    return [((a, b, c, d, e), digest) for a, b, c, d, e, digest in _RECORD.iter_unpack(body)]
