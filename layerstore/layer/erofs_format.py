"""The on-disk structures of EROFS that the index uses. Linux ``fs/erofs/erofs_fs.h``; little endian.

Block size 512, the tar's: so that a regular file is one run of blocks in its tar ("flat plain"), and the
index needs no map of it.
"""

import stat
import struct
from collections.abc import Mapping
from typing import Final, NamedTuple

from layerstore.errors import StoreDamaged
from layerstore.layer.entry import Kind

BLOCK_BITS: Final = 9
BLOCK_SIZE: Final = 1 << BLOCK_BITS
MAX_BLOCKS: Final = (1 << 32) - 1
"""Block addresses have 32 bits, and all ones means "none"."""

SUPERBLOCK_OFFSET: Final = 1024
SUPERBLOCK: Final = struct.Struct("<IIIBBHQQIIII16s16sIHHHBBIQ24x")
MAGIC: Final = 0xE0F5E1E2
FEATURE_COMPAT_MTIME: Final = 0x2
FEATURE_INCOMPAT_DEVICE_TABLE: Final = 0x8

DEVICE_SLOT: Final = struct.Struct("<64sIIHH52x")
DEVICE_TABLE_SLOT: Final = (SUPERBLOCK_OFFSET + SUPERBLOCK.size) // DEVICE_SLOT.size
DEVICE_TABLE_OFFSET: Final = DEVICE_TABLE_SLOT * DEVICE_SLOT.size
MAX_DEVICES: Final = (1 << 16) - 1

INODE: Final = struct.Struct("<HHHHQIIIIqII16x")
NID_SIZE: Final = 32
"""Inodes start at multiples of this; an inode's number (nid) is its multiple."""
EXTENDED: Final = 1
FLAT_PLAIN: Final = EXTENDED | 0 << 1
FLAT_INLINE: Final = EXTENDED | 2 << 1

DIRENT: Final = struct.Struct("<QHBB")
XATTR_HEADER_SIZE: Final = 12
XATTR_ENTRY: Final = struct.Struct("<BBH")
_XATTR_ALIGN: Final = 4
_XATTR_PREFIXES: Final = (
    (b"user.", 1),
    (b"system.posix_acl_access", 2),
    (b"system.posix_acl_default", 3),
    (b"trusted.", 4),
    (b"security.", 6),
)
XATTR_PREFIXES: Final = {index: prefix for prefix, index in _XATTR_PREFIXES}

FILE_MODE: Final = {
    Kind.REGULAR: stat.S_IFREG,
    Kind.DIRECTORY: stat.S_IFDIR,
    Kind.CHARACTER: stat.S_IFCHR,
    Kind.BLOCK: stat.S_IFBLK,
    Kind.FIFO: stat.S_IFIFO,
    Kind.SYMLINK: stat.S_IFLNK,
}
KIND_OF_MODE: Final = {mode: kind for kind, mode in FILE_MODE.items()}


class Superblock(NamedTuple):
    """The fields of struct erofs_super_block that vary. The root is always nid 0."""

    inodes: int
    blocks: int
    meta_block: int
    uuid: bytes
    devices: int

    def pack(self) -> bytes:
        """128 bytes for `SUPERBLOCK_OFFSET`."""
        return SUPERBLOCK.pack(
            MAGIC,
            0,  # checksum: not enabled
            FEATURE_COMPAT_MTIME,
            BLOCK_BITS,
            0,  # extension slots
            0,  # root nid
            self.inodes,
            0,  # epoch and nanoseconds: every inode has its own time
            0,
            self.blocks,
            self.meta_block,
            0,  # no shared xattrs
            self.uuid,
            b"",
            FEATURE_INCOMPAT_DEVICE_TABLE if self.devices else 0,
            0,  # compression
            self.devices,
            DEVICE_TABLE_SLOT,
            0,  # a directory's block is the file system's
            0,  # xattr prefixes
            0,
            0,  # packed nid
        )

    @classmethod
    def unpack(cls, block: bytes) -> "Superblock":
        """The superblock in 128 bytes from `SUPERBLOCK_OFFSET`. Raises `StoreDamaged` where it is none of ours."""
        if len(block) < SUPERBLOCK.size:
            raise StoreDamaged("cannot read layer index: it is truncated")
        fields = SUPERBLOCK.unpack_from(block)
        superblock = cls(fields[6], fields[9], fields[10], fields[12], fields[16])
        if block[: SUPERBLOCK.size] != superblock.pack():
            raise StoreDamaged("cannot read layer index: its superblock is damaged")
        return superblock


def pack_device(tag: bytes, blocks: int, address: int) -> bytes:
    """One device slot: `blocks` blocks that the index addresses from `address` on."""
    return DEVICE_SLOT.pack(tag, blocks & MAX_BLOCKS, address, 0, 0)


def encode_xattrs(xattrs: Mapping[bytes, bytes]) -> bytes:
    """The in-inode area for `xattrs`; empty without any. Namespaces that EROFS has no index for are left out."""
    entries = []
    for name, value in sorted(xattrs.items()):
        for prefix, index in _XATTR_PREFIXES:
            is_whole = prefix[-1:] != b"."
            if name == prefix if is_whole else (name.startswith(prefix) and len(name) > len(prefix)):
                suffix = name[len(prefix) :]
                entry = XATTR_ENTRY.pack(len(suffix), index, len(value)) + suffix + value
                entries.append(entry.ljust(xattr_padded(len(entry)), b"\0"))
    return bytes(XATTR_HEADER_SIZE) + b"".join(entries) if entries else b""


def xattr_padded(size: int) -> int:
    """Bytes that an attribute entry of `size` bytes takes."""
    return -(-size // _XATTR_ALIGN) * _XATTR_ALIGN


def xattr_count(area: int) -> int:
    """i_xattr_icount for an in-inode area of `area` bytes."""
    return 1 + (area - XATTR_HEADER_SIZE) // _XATTR_ALIGN if area else 0


def xattr_area(count: int) -> int:
    """Bytes of the in-inode area that i_xattr_icount `count` stands for."""
    return XATTR_HEADER_SIZE + (count - 1) * _XATTR_ALIGN if count else 0


def device_number(major: int, minor: int) -> int:
    """The kernel's new_encode_dev, ``include/linux/kdev_t.h``."""
    return (minor & 0xFF) | (major << 8) | ((minor & ~0xFF) << 12)


def split_device_number(encoded: int) -> tuple[int, int]:
    """(major, minor) of `device_number`'s result."""
    return (encoded >> 8) & 0xFFF, (encoded & 0xFF) | ((encoded >> 12) & 0xFFF00)
