"""An entry packed: what all entries have, in 52 bytes where the objects of an `Entry` take half a kilobyte.

A tree of a hundred thousand files holds such records (`layerstore.layer.tree`), and a layer's table is a column
of them (`layerstore.layer.changes`).
"""

import struct
from typing import Final

from layerstore.layer.entry import Entry, Kind

RECORD: Final = struct.Struct("<BxHIIqIQQHxxI")
"""Kind, mode, uid, gid, mtime, nsec, size, offset, major, minor."""
KINDS: Final = tuple(Kind(number) if number in set(Kind) else None for number in range(max(Kind) + 1))
"""What a record's first byte stands for."""

Held = Entry | bytes
"""An entry as it is kept: a record, where that says all but its path; else, and for a few, the entry itself."""


def to_record(entry: Entry) -> bytes:
    """The record of `entry`; path, link target, attributes and sparse map are not in it."""
    _, kind, mode, uid, gid, mtime, nsec, size, offset, _, major, minor, _, _ = entry
    return RECORD.pack(kind, mode, uid, gid, mtime, nsec, size, offset, major, minor)


def held_kind(held: Held) -> Kind:
    """The kind of what is held. Raises `ValueError` for a record that nobody packed."""
    kind = KINDS[held[0]] if isinstance(held, bytes) else held.kind
    if kind is None:
        raise ValueError(f"no kind of entry: {held!r}")
    return kind


def to_entry(held: Held) -> Entry:
    """The entry that is held; of a record without its path."""
    if isinstance(held, Entry):
        return held
    _, mode, uid, gid, mtime, nsec, size, offset, major, minor = RECORD.unpack(held)
    return Entry(b"", held_kind(held), mode, uid, gid, mtime, nsec, size, offset, major=major, minor=minor)
