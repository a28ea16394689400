"""One 512-byte tar header, decoded: v7, ustar and GNU. POSIX.1-2017 pax "ustar Interchange Format"; GNU tar(5).

Knows the block alone: what follows it, and what extended headers say, is `layerstore.layer.tar`'s.
"""

import struct
from functools import lru_cache
from typing import Final, NamedTuple
from zlib import adler32

from layerstore.errors import InvalidLayer

_LAYOUT: Final = struct.Struct("100s24s12s12s8xc100s8s64x8s8s155s12x")
_USTAR: Final = b"ustar\0"
TYPE_AT: Final = 156
"""Where the type flag stands in a header."""
_SIZE: Final = slice(124, 136)
_CHECKSUM: Final = slice(148, 156)
_SPACES_SUM: Final = 8 * ord(" ")
_ADLER_MASK: Final = 0xFFFF
_ADLER_MODULUS: Final = 65521
_BASE_256: Final = 0x80
_DEVICES: Final = b"34"
_NO_DEVICE: Final = (0, 0)


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
    nsec: int = 0
    """Nanoseconds past `mtime`: a block has none, but extended headers do."""


def parse_header(block: bytes) -> Header:
    """The header in `block`, 512 bytes that are not all zero. Raises `InvalidLayer`."""
    name, owner, size, mtime, kind, link, magic, major, minor, prefix = _LAYOUT.unpack(block)
    _verify_checksum(block)
    name = name.partition(b"\0")[0]
    # GNU's magic is "ustar  ": it keeps times and sparse maps where POSIX has the prefix.
    if prefix[0] and magic[:6] == _USTAR:
        name = prefix.partition(b"\0")[0] + b"/" + name
    mode, uid, gid = _owner(owner)
    link = link.partition(b"\0")[0] if link[0] else b""
    numbers = (number(major), number(minor)) if kind in _DEVICES else _NO_DEVICE
    return Header(name, mode, uid, gid, number(size), number(mtime), kind, link, *numbers)


def extension_size(block: bytes) -> int:
    """The size in the header `block` where nothing else in it matters. Raises `InvalidLayer`."""
    _verify_checksum(block)
    return number(block[_SIZE])


@lru_cache(maxsize=1024)
def _owner(fields: bytes) -> tuple[int, int, int]:
    """Permission bits, uid and gid: an image has few combinations."""
    return number(fields[:8]) & 0o7777, number(fields[8:16]), number(fields[16:])


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


@lru_cache(maxsize=4096)
def _adler_low(field: bytes) -> int:
    """The low half of the adler32 of a block whose checksum field is `field`, if it holds.

    That half is 1 + the sum of the bytes, in C: ten times as fast as ``sum``.
    """
    return (number(field) - _SPACES_SUM + sum(field) + 1) % _ADLER_MODULUS


def _verify_checksum(block: bytes) -> None:
    """The sum of all bytes, its own field counted as spaces, must be what the header says."""
    field = block[_CHECKSUM]
    if adler32(block) & _ADLER_MASK == _adler_low(field):
        return
    # Some old tars summed signed characters; GNU tar and Go accept both.
    outside = block[: _CHECKSUM.start] + block[_CHECKSUM.stop :]
    signed = sum(byte - 256 if byte > 127 else byte for byte in outside) + _SPACES_SUM
    if signed != number(field):
        raise InvalidLayer("cannot read tar header: its checksum does not match")
