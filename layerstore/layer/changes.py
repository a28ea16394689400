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

_MAGIC: Final = b"lstore\x00\x01"
_HEADER: Final = struct.Struct("<8sIIQQQQQQ")
_CHECKSUM: Final = struct.Struct("<I")
_RECORD: Final = struct.Struct("<BxHIIqIQQHxxI")
_XATTR: Final = struct.Struct("<IHH")
_SPARSE: Final = struct.Struct("<II")
_REGION: Final = struct.Struct("<QQ")
_STANDS_ALONE: Final = 1
_STACKABLE: Final = 2

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
    """Collects changes as they come; `encode` gives the table."""

    def __init__(self) -> None:
        self.count = 0
        self._records = bytearray()
        self._paths: list[bytes] = []
        self._links: list[bytes] = []
        self._xattrs = bytearray()
        self._sparse = bytearray()
        self._size = 0

    def add(self, change: Entry) -> None:
        """Take the next change. Raises `LimitExceeded` past `MAX_TABLE_SIZE`."""
        path, kind, mode, uid, gid, mtime, nsec, size, offset, link, major, minor, xattrs, sparse = change
        self._records += _RECORD.pack(kind, mode, uid, gid, mtime, nsec, size, offset, major, minor)
        self._paths.append(path)
        self._links.append(link)
        for name, value in xattrs.items():
            self._xattrs += _XATTR.pack(self.count, len(name), len(value)) + name + value
        if sparse is not None:
            self._sparse += _SPARSE.pack(self.count, len(sparse))
            self._sparse += b"".join(_REGION.pack(*region) for region in sparse)
        self.count += 1
        self._size += _RECORD.size + len(path) + len(link)
        if self._size + len(self._xattrs) + len(self._sparse) > MAX_TABLE_SIZE:
            raise LimitExceeded(
                f"cannot index layer: more than {MAX_TABLE_SIZE} bytes of names and attributes"
            )

    def encode(self, facts: Facts) -> bytes:
        """The table, with what is known of the layer in its header."""
        columns = (
            self._records,
            b"\0".join(self._paths),
            b"\0".join(self._links),
            self._xattrs,
            self._sparse,
        )
        flags = facts.stands_alone * _STANDS_ALONE | facts.is_stackable * _STACKABLE
        header = _HEADER.pack(_MAGIC, facts.entries, flags, facts.size, *map(len, columns))
        checksum = 0
        for part in (header, *columns):
            checksum = crc32(part, checksum)
        return b"".join((header, *columns, _CHECKSUM.pack(checksum)))


def decode_facts(table: bytes) -> Facts:
    """What `encode` was told, from the first `HEADER_SIZE` bytes. Raises `StoreDamaged`."""
    if len(table) < HEADER_SIZE or not table.startswith(_MAGIC):
        raise StoreDamaged("cannot read layer index: it has no table of changes")
    _, entries, flags, size, *_ = _HEADER.unpack_from(table)
    return Facts(entries, size, bool(flags & _STANDS_ALONE), bool(flags & _STACKABLE))


def decode_changes(table: bytes) -> Iterator[Entry]:
    """The changes in `table`, in their order. Raises `StoreDamaged` where it is not as it was written."""
    facts = decode_facts(table)
    records, paths, links, xattr_column, sparse_column = _columns(table)
    if not facts.entries:
        return
    xattrs = _decode_xattrs(xattr_column)
    sparse = _decode_sparse(sparse_column)
    kinds = {int(kind): kind for kind in Kind}
    rows = zip(_RECORD.iter_unpack(records), paths.split(b"\0"), links.split(b"\0"), strict=True)
    for number, (record, path, link) in enumerate(rows):
        kind, mode, uid, gid, mtime, nsec, size, offset, major, minor = record
        yield Entry(
            path,
            kinds[kind],
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


def _columns(table: bytes) -> list[bytes]:
    """The five columns, checksum verified."""
    _, _, _, _, *lengths = _HEADER.unpack_from(table)
    ends = list(accumulate(lengths, initial=HEADER_SIZE))
    content = memoryview(table)[: -_CHECKSUM.size]
    if ends[-1] != len(content) or _CHECKSUM.pack(crc32(content)) != table[-_CHECKSUM.size :]:
        raise StoreDamaged("cannot read layer index: its table of changes is damaged")
    return [table[start:end] for start, end in pairwise(ends)]


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
