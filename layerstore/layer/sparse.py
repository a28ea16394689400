"""Sparse files in a tar: GNU's old maps and the three PAX ones. GNU tar manual, "Storing Sparse Files".

Each reader gives a `SparseFile`: the size its readers see, where its data starts in the tar, and which
regions of the file that data fills, in order.
"""

import struct
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from layerstore.errors import InvalidLayer, LimitExceeded
from layerstore.layer.entry import Regions
from layerstore.layer.pax import SPARSE_MAP, decimal
from layerstore.layer.source import BLOCK, Source
from layerstore.layer.tar_header import number

MAX_SPARSE_REGIONS: Final = 1 << 18
"""Regions of one file."""
MAX_FILE_SIZE: Final = (1 << 32) * BLOCK
"""Bytes of one file, holes included: all an index can address."""

_OLD_PAIRS_AT: Final = 386
_OLD_PAIRS: Final = 4
_OLD_MORE_AT: Final = 482
_OLD_SIZE: Final = slice(483, 495)
_EXTENSION_PAIRS: Final = 21
_EXTENSION_MORE_AT: Final = 504
_PAIR: Final = struct.Struct("12s12s")
_LINE_MAX: Final = 32


class SparseFile(NamedTuple):
    """`size` bytes long; its packed data is at `offset`; `stored` bytes follow `offset` in the tar."""

    size: int
    offset: int
    stored: int
    regions: Regions


def is_sparse(records: Mapping[bytes, bytes]) -> bool:
    """Whether the PAX `records` describe a sparse file, in any of the three versions."""
    return SPARSE_MAP in records or b"GNU.sparse.major" in records or b"GNU.sparse.size" in records


def read_old(source: Source, block: bytes, offset: int, stored: int) -> SparseFile:
    """The map in the GNU header `block`, whose extension blocks or data start at `offset`.

    Raises `InvalidLayer`, `LimitExceeded`.
    """
    pairs = _pairs(block, _OLD_PAIRS_AT, _OLD_PAIRS)
    has_more = block[_OLD_MORE_AT]
    while has_more:
        extension = source.pread(offset, BLOCK)
        if len(extension) < BLOCK:
            raise InvalidLayer("cannot read sparse file: the tar ends inside its map")
        pairs += _pairs(extension, 0, _EXTENSION_PAIRS)
        _check_count(len(pairs))
        has_more = extension[_EXTENSION_MORE_AT]
        offset += BLOCK
    return _checked(number(block[_OLD_SIZE]), offset, stored, pairs)


def read_pax(source: Source, records: Mapping[bytes, bytes], offset: int, stored: int) -> SparseFile:
    """The map that `records` hold (0.0, 0.1) or that stands before the data at `offset` (1.0).

    Raises `InvalidLayer`, `LimitExceeded`.
    """
    if SPARSE_MAP in records:
        size = decimal(records.get(b"GNU.sparse.size", b""))
        numbers = records[SPARSE_MAP].split(b",") if records[SPARSE_MAP] else []
        return _checked(size, offset, stored, _paired([decimal(n) for n in numbers]))
    version = records.get(b"GNU.sparse.major"), records.get(b"GNU.sparse.minor")
    if version != (b"1", b"0"):
        if version == (None, None) and records.get(b"GNU.sparse.numblocks") == b"0":
            return _checked(decimal(records[b"GNU.sparse.size"]), offset, stored, [])
        raise InvalidLayer(f"cannot read sparse file: no map, or an unknown version {version}")
    size = decimal(records.get(b"GNU.sparse.realsize", b""))
    lines = _MapLines(source, offset, stored)
    count = lines.take()
    _check_count(count)
    pairs = [(lines.take(), lines.take()) for _ in range(count)]
    return _checked(size, lines.end, stored - (lines.end - offset), pairs)


class _MapLines:
    """The decimal lines of a 1.0 map, read block by block."""

    def __init__(self, source: Source, offset: int, stored: int) -> None:
        self._source = source
        self._limit = offset + stored
        self._rest: list[bytes] = []
        self._partial = b""
        self.end = offset

    def take(self) -> int:
        """The next number. Raises `InvalidLayer`."""
        while not self._rest:
            self._fill()
        return decimal(self._rest.pop())

    def _fill(self) -> None:
        block = self._source.pread(self.end, BLOCK) if self.end < self._limit else b""
        if len(block) < BLOCK or len(self._partial) > _LINE_MAX:
            raise InvalidLayer("cannot read sparse file: malformed map")
        self.end += BLOCK
        *lines, self._partial = (self._partial + block).split(b"\n")
        self._rest = lines[::-1]


def _pairs(block: bytes, start: int, count: int) -> list[tuple[int, int]]:
    fields = _PAIR.iter_unpack(block[start : start + count * _PAIR.size])
    return [(number(offset), number(length)) for offset, length in fields if offset[0] and length[0]]


def _paired(numbers: list[int]) -> list[tuple[int, int]]:
    if len(numbers) % 2:
        raise InvalidLayer("cannot read sparse file: its map has an odd number of fields")
    _check_count(len(numbers) // 2)
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def _check_count(count: int) -> None:
    if count > MAX_SPARSE_REGIONS:
        raise LimitExceeded(f"cannot read sparse file: more than {MAX_SPARSE_REGIONS} regions")


def _checked(size: int, offset: int, stored: int, pairs: Iterable[tuple[int, int]]) -> SparseFile:
    """Regions must ascend, stay inside the file, and be exactly what is stored."""
    if not 0 <= size <= MAX_FILE_SIZE:
        raise LimitExceeded(f"cannot read sparse file: {size} bytes long, at most {MAX_FILE_SIZE}")
    regions = tuple((start, length) for start, length in pairs if length)
    end = total = 0
    for start, length in regions:
        if start < end or length < 0 or start + length > size:
            raise InvalidLayer(f"cannot read sparse file: region {start}+{length} of {size} is out of order")
        end = start + length
        total += length
    if total != stored:
        raise InvalidLayer(f"cannot read sparse file: {stored} bytes stored, {total} in its map")
    return SparseFile(size, offset, stored, regions)
