"""A layer's changes as a compact table, kept behind its index so that merging never reads the tar again.

By columns, little endian: a header, fixed-size records, the paths and the link targets separated by NUL,
then what few entries have: extended attributes and sparse maps. The standard library unpacks such columns
at C speed, some ten times as fast as it could read back the index (docs/adr/0003-merge-policy.md).
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Final
from zlib import crc32

from layerstore.errors import StoreDamaged
from layerstore.layer.entry import NO_XATTRS, Entry, Kind, Regions

_MAGIC: Final = b"lstore\x00\x01"
_HEADER: Final = struct.Struct("<8sIIQQQQQQI4x")
_RECORD: Final = struct.Struct("<BBHIIqIQQHxxI")
_XATTR: Final = struct.Struct("<IHH")
_SPARSE: Final = struct.Struct("<II")
_REGION: Final = struct.Struct("<QQ")
_KINDS: Final = tuple(Kind(number) if number in set(Kind) else None for number in range(max(Kind) + 1))
_NEEDS_MERGE: Final = 1
_HAS_MARKS: Final = 2


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a layer without reading its table."""

    entries: int
    """Changes in the layer."""
    size: int
    """Bytes of its tar."""
    needs_merge: bool
    """Whether overlayfs cannot stack it faithfully, see `layerstore.layer.standalone`."""
    has_marks: bool
    """Whether it removes anything of lower layers."""


class ChangeTable:
    """Collects changes as they come; `encode` gives the table."""

    def __init__(self) -> None:
        self.count = 0
        self._records = bytearray()
        self._paths: list[bytes] = []
        self._links = bytearray()
        self._xattrs = bytearray()
        self._sparse = bytearray()
