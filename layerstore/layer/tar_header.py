"""One 512-byte tar header, decoded: v7, ustar and GNU. POSIX.1-2017 pax "ustar Interchange Format"; GNU tar(5).

Knows the block alone: what follows it, and what extended headers say, is `layerstore.layer.tar`'s.
"""

import struct
from functools import lru_cache
from typing import Final, NamedTuple
from zlib import adler32

from layerstore.errors import InvalidLayer

_LAYOUT: Final = struct.Struct("100s8s8s8s12s12s8sc100s8s64x8s8s155s12x")
_USTAR: Final = b"ustar\0"
_CHECKSUM: Final = slice(148, 156)
_SPACES_SUM: Final = 8 * ord(" ")
_ADLER_MODULUS: Final = 65521
_BASE_256: Final = 0x80
_DEVICES: Final = b"34"


class Header(NamedTuple):
    """The fields that matter, undecorated: names as they stand, `size` as the block says."""

    name: bytes
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int
    type: bytes
    link: bytes
    major: int
    minor: int


def parse_header(block: bytes) -> Header:
    """The header in `block`, 512 bytes that are not all zero. Raises `InvalidLayer`."""
    (name, mode, uid, gid, size, mtime, checksum, kind, link, magic, major, minor, prefix) = _LAYOUT.unpack(
        block
    )
    _verify_checksum(block, checksum)
    name = name.partition(b"\0")[0]
    # GNU's magic is "ustar  ": it keeps times and sparse maps where POSIX has the prefix.
    if magic[:6] == _USTAR and prefix[0]:
        name = prefix.partition(b"\0")[0] + b"/" + name
    is_device = kind in _DEVICES
    return Header(
        name,
        number(mode) & 0o7777,
        number(uid),
        number(gid),
        number(size),
        number(mtime),
        kind,
        link.partition(b"\0")[0],
        number(major) if is_device else 0,
        number(minor) if is_device else 0,
    )


@lru_cache(maxsize=4096)
def number(field: bytes) -> int:
    """A numeric field: octal text, or GNU's base-256 (top bit set, two's complement, big endian).

    Empty is 0. Raises `InvalidLayer` for anything else.
    """
    if field[0] & _BASE_256:
        bits = 8 * len(field) - 1
        value = int.from_bytes(field, "big") & ((1 << bits) - 1)
        return value - (1 << bits) if field[0] & 0x40 else value
    text = field.partition(b"\0")[0].strip(b" ")
    if not text:
        return 0
    if not text.isdigit():
        raise InvalidLayer(f"cannot read tar header: {field!r} is no number")
    try:
        return int(text, 8)
    except ValueError as error:
        raise InvalidLayer(f"cannot read tar header: {field!r} is not octal") from error


def _verify_checksum(block: bytes, field: bytes) -> None:
    """The sum of all bytes, its own field counted as spaces, must be what the header says."""
    stored = number(field)
    # adler32's low half is 1 + the sum of the bytes, in C: ten times as fast as sum().
    low = adler32(block) & 0xFFFF
    if (low - 1 - sum(field) + _SPACES_SUM - stored) % _ADLER_MODULUS == 0:
        return
    # Some old tars summed signed characters; GNU tar and Go accept both.
    outside = block[: _CHECKSUM.start] + block[_CHECKSUM.stop :]
    signed = sum(byte - 256 if byte > 127 else byte for byte in outside) + _SPACES_SUM
    if signed != stored:
        raise InvalidLayer("cannot read tar header: its checksum does not match")
