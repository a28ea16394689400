"""What is in a file of a layer, read from the layer's tar where its entry says.

Bounded memory: nothing is read in larger pieces than `CHUNK`. A sparse file's holes are never read.
"""

import hashlib
import os
from collections.abc import Iterator
from typing import Final, NamedTuple

from layerstore.errors import StoreDamaged, storage_error
from layerstore.layer.entry import Entry, Regions
from layerstore.layer.names import shown
from layerstore.oci.digest import Digest

CHUNK: Final = 1 << 20


class Content(NamedTuple):
    """The content of a regular file: its entry, and the descriptor of the tar that has it."""

    entry: Entry
    tar: int

    @property
    def regions(self) -> Regions:
        """Where it has data: (offset in the file, length), ascending."""
        entry = self.entry
        return ((0, entry.size),) if entry.sparse is None else entry.sparse

    def read(self, start: int, size: int) -> bytes:
        """`size` bytes from `start` on, as a reader of the file sees them. Raises `StoreDamaged`, `StorageError`."""
        if self.entry.sparse is None:
            return self._data(self.entry.offset + start, size)
        data = bytearray(size)
        offset = self.entry.offset
        for first, length in self.entry.sparse:
            low, high = max(first, start), min(first + length, start + size)
            if low < high:
                data[low - start : high - start] = self._data(offset + low - first, high - low)
            offset += length
        return bytes(data)

    def _data(self, offset: int, size: int) -> bytes:
        try:
            data = os.pread(self.tar, size, offset)
        except OSError as error:
            raise storage_error(error, "read a layer's tar") from error
        if len(data) < size:
            raise StoreDamaged(f"cannot read {shown(self.entry.path)}: its layer's tar ends too soon")
        return data


def content_digest(content: Content) -> Digest:
    """The digest of a file without holes. Raises `StoreDamaged`, `StorageError`."""
    state = hashlib.sha256()
    for start, size in _pieces(((0, content.entry.size),)):
        state.update(content.read(start, size))
    return Digest("sha256", state.hexdigest())


def is_same_content(one: Content, other: Content) -> bool:
    """Whether two files read alike, holes and zeros being the same. Raises `StoreDamaged`, `StorageError`."""
    if one.entry.size != other.entry.size:
        return False
    for start, size in _pieces(_union(one.regions, other.regions)):
        if one.read(start, size) != other.read(start, size):
            return False
    return True


def _pieces(regions: Regions) -> Iterator[tuple[int, int]]:
    for start, length in regions:
        for offset in range(start, start + length, CHUNK):
            yield offset, min(CHUNK, start + length - offset)


def _union(one: Regions, other: Regions) -> Regions:
    """Where either has data."""
    merged: list[tuple[int, int]] = []
    for start, length in sorted((*one, *other)):
        if merged and start <= sum(merged[-1]):
            first, known = merged[-1]
            merged[-1] = (first, max(known, start + length - first))
        else:
            merged.append((start, length))
    return tuple(merged)
