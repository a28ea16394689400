"""One entry of a layer, as a value. Stage "layers" of docs/flow.md.

A `NamedTuple` and not a dataclass: an image has a hundred thousand of them, and a tuple is made three
times as fast and unpacks whole from a packed table (`layerstore.layer.changes`).
"""

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import Final, NamedTuple

MAX_ENTRIES: Final = 2_000_000
"""Entries of one layer, and nodes of one tree."""

Regions = tuple[tuple[int, int], ...]
"""Where a sparse file has data: (offset in the file, length), ascending; the data lies packed in the tar."""

NO_XATTRS: Final[Mapping[bytes, bytes]] = MappingProxyType({})


class Kind(IntEnum):
    """What an entry is. The first seven are the kernel's file types, ``include/linux/fs_types.h``."""

    REGULAR = 1
    DIRECTORY = 2
    CHARACTER = 3
    BLOCK = 4
    FIFO = 5
    SYMLINK = 7
    HARDLINK = 8
    WHITEOUT = 9
    """Not in a tar, but read out of one: lower layers' `path` is removed."""
    OPAQUE = 10
    """Likewise: what lower layers have in directory `path` is removed."""


class Entry(NamedTuple):
    """One tar entry; after `layerstore.layer.changeset`, one change of a layer."""

    path: bytes
    """Relative to the root, normalised; ``b""`` is the root."""
    kind: Kind
    mode: int = 0
    """Permission bits, 0 to 0o7777."""
    uid: int = 0
    gid: int = 0
    mtime: int = 0
    """Seconds since the epoch, rounded down."""
    nsec: int = 0
    """Nanoseconds past `mtime`, 0 to 999,999,999."""
    size: int = 0
    """Bytes of the file as its readers see it; 0 for everything but regular files."""
    offset: int = 0
    """Where the data starts in the uncompressed tar, a multiple of 512."""
    link: bytes = b""
    """A symlink's target as written; a hardlink's target, normalised like `path`."""
    major: int = 0
    minor: int = 0
    xattrs: Mapping[bytes, bytes] = NO_XATTRS
    """Full names (``user.x``, ``system.posix_acl_access``) to raw kernel values."""
    sparse: Regions | None = None
