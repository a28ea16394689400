"""A layer's changes as a compact table, kept behind its index so that merging never reads the tar again.

By columns, little endian: a header, fixed-size records, paths and link targets (NUL-separated), then what
few entries have: extended attributes and sparse maps; last a CRC-32. The standard library takes such
columns apart at C speed (docs/adr/0003-merge-policy.md has the numbers).
"""

import struct
from collections.abc import Iterator
from itertools import accumulate, pairwise
from typing import Final, NamedTuple
from zlib import crc32

from layerstore.errors import LimitExceeded, StoreDamaged
from layerstore.layer.entry import NO_XATTRS, Entry, Kind, Regions
from layerstore.layer.record import RECORD, Held, to_entry, to_record
from layerstore.layer.source import Source

_MAGIC: Final = b"lstore\x00\x01"
_HEADER: Final = struct.Struct("<8sIIQQQQQQ")
_CHECKSUM: Final = struct.Struct("<I")
_XATTR: Final = struct.Struct("<IHH")
_SPARSE: Final = struct.Struct("<II")
_REGION: Final = struct.Struct("<QQ")
_STANDS_ALONE: Final = 1
_STACKABLE: Final = 2
_MARKS: Final = frozenset({Kind.WHITEOUT, Kind.OPAQUE})
_ROWS: Final = 4096
_PIECE: Final = 256 << 10
"""How many records, and bytes of anything else, are read at once."""

HEADER_SIZE: Final = _HEADER.size
MAX_TABLE_SIZE: Final = 512 << 20
"""Bytes: what names, attributes and sparse maps of one layer may come to, and so an indexer's memory."""


class Facts(NamedTuple):
    """What is known of a layer without reading its table. (A dataclass would cost the indexer's start 10 ms.)"""

    entries: int
    """Changes in the layer."""
    size: int
    """Bytes of its uncompressed tar."""
    stands_alone: bool
    """Whether its own index is right for an image of this layer only."""
    is_stackable: bool
    """Whether overlayfs shows its own index right on top of others; else they need merging."""


class ChangeTable:
    """Collects changes as they come, in little memory; `encode` gives the table."""

    def __init__(self) -> None:
        self.count = 0
        self._records = bytearray()
        self._paths = bytearray()
        self._links = bytearray()
        self._xattrs = bytearray()
        self._sparse = bytearray()
        self._size = 0

    def add(self, change: Entry) -> Held:
        """Take the next change, and give it back as a tree is to hold it.

        Raises `LimitExceeded` past `MAX_TABLE_SIZE`.
        """
        record = to_record(change)
        path, link, xattrs, sparse = change.path, change.link, change.xattrs, change.sparse
        if self.count:
            self._paths += b"\0"
            self._links += b"\0"
        self._records += record
        self._paths += path
        self._links += link
        for name, value in xattrs.items():
            self._xattrs += _XATTR.pack(self.count, len(name), len(value)) + name + value
        if sparse is not None:
            self._sparse += _SPARSE.pack(self.count, len(sparse))
            self._sparse += b"".join(_REGION.pack(*region) for region in sparse)
        self.count += 1
        self._size += RECORD.size + len(path) + len(link)
        if self._size + len(self._xattrs) + len(self._sparse) > MAX_TABLE_SIZE:
            raise LimitExceeded(
                f"cannot index layer: more than {MAX_TABLE_SIZE} bytes of names and attributes"
            )
        return change if link or xattrs or sparse is not None else record

    def encode(self, facts: Facts) -> tuple[bytes | bytearray, ...]:
        """The table in pieces, one behind the other, with what is known of the layer in its header."""
        columns: tuple[bytes | bytearray, ...] = self._columns()
        flags = facts.stands_alone * _STANDS_ALONE | facts.is_stackable * _STACKABLE
        header = _HEADER.pack(_MAGIC, facts.entries, flags, facts.size, *map(len, columns))
        checksum = 0
        for part in (header, *columns):
            checksum = crc32(part, checksum)
        return (header, *columns, _CHECKSUM.pack(checksum))

    def _columns(self) -> tuple[bytearray, ...]:
        return self._records, self._paths, self._links, self._xattrs, self._sparse


def decode_facts(table: bytes) -> Facts:
    """What `encode` was told, from the first `HEADER_SIZE` bytes. Raises `StoreDamaged`."""
    if len(table) < HEADER_SIZE or not table.startswith(_MAGIC):
        raise StoreDamaged("cannot read layer index: it has no table of changes")
    _, entries, flags, size, *_ = _HEADER.unpack_from(table)
    return Facts(entries, size, bool(flags & _STANDS_ALONE), bool(flags & _STACKABLE))


class StoredChanges:
    """The changes in a table, in their order: read in pieces, so that they may be more than fit into memory."""

    def __init__(self, source: Source, start: int) -> None:
        """The table is what `source` has from `start` on. Raises `StoreDamaged` where it is not as it was written."""
        self._source = source
        header = source.pread(start, HEADER_SIZE)
        self.facts = decode_facts(header)
        _, _, _, _, *lengths = _HEADER.unpack(header)
        self._bounds = list(pairwise(accumulate(lengths, initial=start + HEADER_SIZE)))
        self._verify(start, self._bounds[-1][1])
        self._xattrs = _decode_xattrs(self._read(self._bounds[3]))
        self._sparse = _decode_sparse(self._read(self._bounds[4]))

    def __iter__(self) -> Iterator[Entry]:
        sparse, xattrs = self._sparse, self._xattrs
        for number, (record, path, link) in enumerate(self._rows()):
            _, mode, uid, gid, mtime, nsec, size, offset, major, minor = RECORD.unpack(record)
            yield Entry(
                path,
                Kind(record[0]),
                mode,
                uid,
                gid,
                mtime,
                nsec,
                size,
                offset,
                link,
                major,
                minor,
                xattrs.get(number, NO_XATTRS),
                sparse.get(number),
            )

    def marks(self) -> Iterator[Entry]:
        """The whiteouts and opaque markers alone; without any the kinds are all that is read."""
        start, end = self._bounds[0]
        step = _ROWS * RECORD.size
        kinds = (
            self._source.pread(at, min(step, end - at))[:: RECORD.size] for at in range(start, end, step)
        )
        if any(mark in piece for piece in kinds for mark in _MARKS):
            yield from (change for change in self if change.kind in _MARKS)

    def others(self) -> Iterator[tuple[bytes, Held]]:
        """Path and entry, as a tree is to hold it, of all changes but the marks."""
        special = self._xattrs.keys() | self._sparse.keys()
        for number, (record, path, link) in enumerate(self._rows()):
            if record[0] in _MARKS:
                continue
            if link or number in special:
                entry = to_entry(record)
                yield (
                    path,
                    entry._replace(
                        path=path,
                        link=link,
                        xattrs=self._xattrs.get(number, NO_XATTRS),
                        sparse=self._sparse.get(number),
                    ),
                )
            else:
                yield path, record

    def _rows(self) -> Iterator[tuple[bytes, bytes, bytes]]:
        if not self.facts.entries:
            return
        records, paths, links, *_ = self._bounds
        yield from zip(self._records(records), self._strings(paths), self._strings(links), strict=True)

    def _records(self, bounds: tuple[int, int]) -> Iterator[bytes]:
        start, end = bounds
        width = RECORD.size
        for at in range(start, end, _ROWS * width):
            piece = self._source.pread(at, min(_ROWS * width, end - at))
            yield from [piece[row : row + width] for row in range(0, len(piece), width)]

    def _strings(self, bounds: tuple[int, int]) -> Iterator[bytes]:
        start, end = bounds
        rest = b""
        for at in range(start, end, _PIECE):
            *whole, rest = (rest + self._source.pread(at, min(_PIECE, end - at))).split(b"\0")
            yield from whole
        yield rest

    def _verify(self, start: int, end: int) -> None:
        checksum = 0
        is_whole = self._source.length() == end + _CHECKSUM.size
        for at in range(start, end, _PIECE) if is_whole else ():
            checksum = crc32(self._source.pread(at, min(_PIECE, end - at)), checksum)
        if not is_whole or _CHECKSUM.pack(checksum) != self._source.pread(end, _CHECKSUM.size):
            raise StoreDamaged("cannot read layer index: its table of changes is damaged")

    def _read(self, bounds: tuple[int, int]) -> bytes:
        return self._source.pread(bounds[0], bounds[1] - bounds[0])


def _decode_xattrs(column: bytes) -> dict[int, dict[bytes, bytes]]:
    found: dict[int, dict[bytes, bytes]] = {}
    position = 0
    while position < len(column):
        number, name_size, value_size = _XATTR.unpack_from(column, position)
        name_at = position + _XATTR.size
        value_at = name_at + name_size
        position = value_at + value_size
        found.setdefault(number, {})[column[name_at:value_at]] = column[value_at:position]
    return found


def _decode_sparse(column: bytes) -> dict[int, Regions]:
    found: dict[int, Regions] = {}
    position = 0
    while position < len(column):
        number, count = _SPARSE.unpack_from(column, position)
        start = position + _SPARSE.size
        position = start + count * _REGION.size
        found[number] = tuple(_REGION.iter_unpack(column[start:position]))
    return found
