"""One entry as tar headers: ustar, and PAX only where ustar lacks the room. POSIX.1-2017 pax.

The same entry gives the same bytes. Read alike by GNU tar, Go's archive/tar and `layerstore.layer.tar`.
"""

import struct
from binascii import b2a_base64
from collections.abc import Mapping
from typing import Final

from layerstore.errors import LimitExceeded
from layerstore.layer.acl import ACCESS, DEFAULT
from layerstore.layer.entry import Entry, Kind
from layerstore.layer.names import shown
from layerstore.layer.pax import MAX_XATTR_SIZE, MAX_XATTRS_SIZE
from layerstore.layer.source import padded

_LAYOUT: Final = struct.Struct("100s8s8s8s12s12s8sc100s8s32x32x8s8s155s12x")
_MAGIC: Final = b"ustar\x0000"
_TYPES: Final = {
    Kind.REGULAR: b"0",
    Kind.HARDLINK: b"1",
    Kind.SYMLINK: b"2",
    Kind.CHARACTER: b"3",
    Kind.BLOCK: b"4",
    Kind.DIRECTORY: b"5",
    Kind.FIFO: b"6",
}
_EXTENDED: Final = b"x"
_NAME_MAX: Final = 100
_PREFIX_MAX: Final = 155
_MAX_ID: Final = 8**7 - 1
_MAX_NUMBER: Final = 8**11 - 1
_NANO: Final = 10**9

_ACL_HEADER_SIZE: Final = 4
_ACL_ENTRY: Final = struct.Struct("<HHI")  # Linux posix_acl_xattr.h
_ACL_KEYS: Final = {ACCESS: b"SCHILY.acl.access", DEFAULT: b"SCHILY.acl.default"}
_ACL_TAGS: Final = {
    0x01: b"user:",
    0x02: b"user:%d",
    0x04: b"group:",
    0x08: b"group:%d",
    0x10: b"mask:",
    0x20: b"other:",
}


def encode_header(entry: Entry, name: bytes) -> bytes:
    """The blocks that precede the data of `entry`, a kind that tar knows, stored as `name`.

    Raises `LimitExceeded` for extended attributes larger than a reader takes.
    """
    records: dict[bytes, bytes] = dict(_attribute_records(entry))
    short, prefix = _split(name)
    if not short:
        records[b"path"] = name
        short = name[:_NAME_MAX]
    if len(entry.link) > _NAME_MAX:
        records[b"linkpath"] = entry.link
    if not 0 <= entry.mtime <= _MAX_NUMBER or entry.nsec:
        records[b"mtime"] = _time(entry)
    fields = {b"uid": (entry.uid, _MAX_ID), b"gid": (entry.gid, _MAX_ID), b"size": (entry.size, _MAX_NUMBER)}
    records.update({key: b"%d" % value for key, (value, limit) in fields.items() if value > limit})
    header = _ustar(entry, short, prefix)
    if not records:
        return header
    body = b"".join(_record(key, records[key]) for key in sorted(records))
    return _extended(name, len(body)) + body + bytes(padded(len(body)) - len(body)) + header


def _split(name: bytes) -> tuple[bytes, bytes]:
    """`name` as ustar's name and prefix; the name is empty where it does not fit."""
    if len(name) <= _NAME_MAX:
        return name, b""
    slash = name.rfind(b"/", 1, min(_PREFIX_MAX + 1, len(name) - 1))
    if slash < 0 or len(name) - slash - 1 > _NAME_MAX:
        return b"", b""
    return name[slash + 1 :], name[:slash]


def _ustar(entry: Entry, name: bytes, prefix: bytes) -> bytes:
    return _block(
        name,
        entry.mode,
        entry.uid if entry.uid <= _MAX_ID else 0,
        entry.gid if entry.gid <= _MAX_ID else 0,
        entry.size if entry.size <= _MAX_NUMBER else 0,
        min(max(entry.mtime, 0), _MAX_NUMBER),
        _TYPES[entry.kind],
        entry.link[:_NAME_MAX],
        entry.major,
        entry.minor,
        prefix,
    )


def _extended(name: bytes, size: int) -> bytes:
    """The header of an extended header; its name is for readers that do not know PAX."""
    label = b"PaxHeaders.0/" + name.rstrip(b"/").rpartition(b"/")[2]
    return _block(label[:_NAME_MAX], 0o644, 0, 0, size, 0, _EXTENDED, b"", 0, 0, b"")


def _block(
    name: bytes,
    mode: int,
    uid: int,
    gid: int,
    size: int,
    mtime: int,
    kind: bytes,
    link: bytes,
    major: int,
    minor: int,
    prefix: bytes,
) -> bytes:
    short, long = b"%07o\0", b"%011o\0"
    fields = (name, short % mode, short % uid, short % gid, long % size, long % mtime)
    rest = (kind, link, _MAGIC, short % major, short % minor, prefix)
    checksum = sum(_LAYOUT.pack(*fields, b" " * 8, *rest))
    return _LAYOUT.pack(*fields, b"%06o\0 " % checksum, *rest)


def _record(key: bytes, value: bytes) -> bytes:
    """``LENGTH KEY=VALUE\\n``, its own length included."""
    rest = b" %s=%s\n" % (key, value)
    size = len(rest) + len(b"%d" % len(rest))
    size = len(rest) + len(b"%d" % size)
    return b"%d%s" % (size, rest)


def _time(entry: Entry) -> bytes:
    total = entry.mtime * _NANO + entry.nsec
    seconds, nsec = divmod(abs(total), _NANO)
    fraction = (b".%09d" % nsec).rstrip(b"0") if nsec else b""
    return b"%s%d%s" % (b"-" if total < 0 else b"", seconds, fraction)


def _attribute_records(entry: Entry) -> Mapping[bytes, bytes]:
    records: dict[bytes, bytes] = {}
    for name, value in entry.xattrs.items():
        if len(value) > MAX_XATTR_SIZE:
            raise LimitExceeded(f"cannot pack {shown(entry.path)}: attribute {shown(name)} is too long")
        if b"=" in name:  # which ends a key; libarchive's form escapes it
            records[b"LIBARCHIVE.xattr." + _quoted(name)] = b2a_base64(value, newline=False)
        else:
            records[b"SCHILY.xattr." + name] = value
        if name in _ACL_KEYS:  # for GNU tar; the others take the kernel's form
            records[_ACL_KEYS[name]] = _acl_text(value)
    if sum(len(name) + len(value) for name, value in entry.xattrs.items()) > MAX_XATTRS_SIZE:
        raise LimitExceeded(
            f"cannot pack {shown(entry.path)}: more than {MAX_XATTRS_SIZE} bytes of attributes"
        )
    return records


def _quoted(name: bytes) -> bytes:
    return name.replace(b"%", b"%25").replace(b"=", b"%3D")


def _acl_text(acl: bytes) -> bytes:
    """The kernel's form as text, ids as numbers. acl(5), "Short text form" of long tags."""
    lines = []
    for tag, bits, who in _ACL_ENTRY.iter_unpack(acl[_ACL_HEADER_SIZE:]):
        label = _ACL_TAGS[tag]
        letters = b"".join(
            letter if bits & bit else b"-" for letter, bit in ((b"r", 4), (b"w", 2), (b"x", 1))
        )
        lines.append((label % who if b"%" in label else label) + b":" + letters)
    return b",".join(lines)
