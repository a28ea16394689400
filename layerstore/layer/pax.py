"""PAX extended headers: records, times and extended attributes. POSIX.1-2017 pax "pax Extended Header".

Attributes come as star's ``SCHILY.xattr.NAME`` (raw) and libarchive's ``LIBARCHIVE.xattr.NAME`` (name
percent-encoded, value base64); ACLs as text in ``SCHILY.acl.*``, see `layerstore.layer.acl`.
"""

from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Iterable, Mapping
from typing import Final

from layerstore.errors import InvalidLayer, LimitExceeded
from layerstore.layer.acl import ACCESS, DEFAULT, encode_acl, is_equivalent_to_mode
from layerstore.layer.entry import NO_XATTRS
from layerstore.layer.names import shown

MAX_PAX_SIZE: Final = 1 << 20
"""Bytes of one extended header: also Go's bound."""
MAX_XATTR_SIZE: Final = 65535
"""Bytes of one value: the index's field has 16 bits (the kernel's XATTR_SIZE_MAX is one more)."""
MAX_XATTR_NAME: Final = 255
"""linux/limits.h XATTR_NAME_MAX."""
MAX_XATTRS_SIZE: Final = 128 << 10
"""Bytes of one file's names and values together; the index ends at 256 KiB, ext4 much earlier."""

_SCHILY: Final = b"SCHILY.xattr."
_LIBARCHIVE: Final = b"LIBARCHIVE.xattr."
_ACLS: Final = {b"SCHILY.acl.access": ACCESS, b"SCHILY.acl.default": DEFAULT}
_SPARSE_PAIR: Final = frozenset({b"GNU.sparse.offset", b"GNU.sparse.numbytes"})
SPARSE_MAP: Final = b"GNU.sparse.map"
_MAX_DIGITS: Final = 32
"""Digits of any number in a record: int() is quadratic in them."""
_NANO: Final = 9

Records = dict[bytes, bytes]


def parse_records(data: bytes) -> Records:
    """The records ``LENGTH KEY=VALUE\\n`` of `data`; the last of equal keys wins.

    GNU sparse 0.0 repeats its offset and numbytes keys: they are gathered, comma-separated, under
    ``GNU.sparse.map``, which is the form of 0.1. Raises `InvalidLayer`.
    """
    records: Records = {}
    pairs: list[bytes] = []
    position = 0
    while position < len(data):
        space = data.find(b" ", position, position + _MAX_DIGITS)
        digits = data[position:space] if space > 0 else b""
        end = position + int(digits) if digits.isdigit() else 0
        key, equals, value = data[space + 1 : end - 1].partition(b"=")
        if end <= space + 1 or end > len(data) or data[end - 1] != 0x0A or not equals or not key:
            raise InvalidLayer(f"cannot read PAX header: malformed record at byte {position}")
        if key in _SPARSE_PAIR:
            pairs.append(value)
        else:
            records[key] = value
        position = end
    if pairs:
        records[SPARSE_MAP] = b",".join(pairs)
    return records


def decimal(value: bytes) -> int:
    """A non-negative decimal number. Raises `InvalidLayer`."""
    if not value.isdigit() or len(value) > _MAX_DIGITS:
        raise InvalidLayer(f"cannot read PAX header: {shown(value)} is no number")
    return int(value)


def timestamp(value: bytes) -> tuple[int, int]:
    """Seconds (rounded down) and nanoseconds of a PAX time like ``-12.5``. Raises `InvalidLayer`."""
    is_negative = value.startswith(b"-")
    whole, _, fraction = value[is_negative:].partition(b".")
    if not whole.isdigit() or (fraction and not fraction.isdigit()) or len(whole) > _MAX_DIGITS:
        raise InvalidLayer(f"cannot read PAX header: mtime {shown(value)} is no time")
    seconds, nsec = int(whole), int(fraction[:_NANO].ljust(_NANO, b"0"))
    if not is_negative:
        return seconds, nsec
    return (-seconds - 1, 10**_NANO - nsec) if nsec else (-seconds, 0)


def extended_attributes(records: Mapping[bytes, bytes]) -> Mapping[bytes, bytes]:
    """The extended attributes that `records` spell, full name to raw value.

    Raises `InvalidLayer`, `UnsupportedContent` (ACLs that name users) and `LimitExceeded`.
    """
    found: dict[bytes, bytes] = {}
    for key, value in records.items():
        if key.startswith(_SCHILY):
            found[key[len(_SCHILY) :]] = value
        elif key.startswith(_LIBARCHIVE):
            found.setdefault(_unquote(key[len(_LIBARCHIVE) :]), _unbase64(value))
        elif key in _ACLS:
            acl = encode_acl(value)
            # The kernel keeps no access ACL that says the same as the mode bits.
            if _ACLS[key] == DEFAULT or not is_equivalent_to_mode(acl):
                found[_ACLS[key]] = acl
    if not found:
        return NO_XATTRS
    _check_bounds(found.items())
    return found


def _check_bounds(xattrs: Iterable[tuple[bytes, bytes]]) -> None:
    total = 0
    for name, value in xattrs:
        if not name or b"\0" in name:
            raise InvalidLayer(f"cannot use extended attribute {shown(name)}: malformed name")
        if len(name) > MAX_XATTR_NAME or len(value) > MAX_XATTR_SIZE:
            raise LimitExceeded(f"cannot use extended attribute {shown(name)}: name or value too long")
        total += len(name) + len(value)
    if total > MAX_XATTRS_SIZE:
        raise LimitExceeded(f"cannot use extended attributes: {total} bytes, at most {MAX_XATTRS_SIZE}")


def _unquote(name: bytes) -> bytes:
    """`name` with %XX decoded. By hand: urllib costs an indexer process 6 ms to import."""
    first, *rest = name.split(b"%")
    try:
        return first + b"".join(bytes.fromhex(part[:2].decode("ascii")) + part[2:] for part in rest)
    except ValueError as error:
        raise InvalidLayer(f"cannot read PAX header: malformed attribute name {shown(name)}") from error


def _unbase64(value: bytes) -> bytes:
    try:
        return a2b_base64(value + b"=" * (-len(value) % 4))  # libarchive writes no padding
    except Base64Error as error:
        raise InvalidLayer("cannot read PAX header: malformed base64 attribute value") from error
