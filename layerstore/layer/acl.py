"""POSIX ACLs: star's text in a PAX header to the kernel's binary attribute. Linux ``posix_acl_xattr.h``, acl(5)."""

import struct
from typing import Final

from layerstore.errors import InvalidLayer, UnsupportedContent
from layerstore.layer.names import shown

ACCESS: Final = b"system.posix_acl_access"
DEFAULT: Final = b"system.posix_acl_default"

_VERSION: Final = struct.pack("<I", 2)
_ENTRY: Final = struct.Struct("<HHI")
_UNDEFINED_ID: Final = 0xFFFFFFFF
_MAX_DIGITS: Final = 10
_BASE_ENTRIES: Final = 3
_TAGS: Final = {  # the tag of an entry (for the owner, for a named one)
    b"user": (0x01, 0x02),
    b"u": (0x01, 0x02),
    b"group": (0x04, 0x08),
    b"g": (0x04, 0x08),
    b"mask": (0x10, 0x10),
    b"m": (0x10, 0x10),
    b"other": (0x20, 0x20),
    b"o": (0x20, 0x20),
}
_MASK_AND_OTHER: Final = frozenset({0x10, 0x20})
_BITS: Final = {ord("r"): 4, ord("w"): 2, ord("x"): 1, ord("-"): 0}
_PERMISSION_LETTERS: Final = 3


def encode_acl(text: bytes) -> bytes:
    """The kernel's form of the ACL `text`, ``tag:qualifier:rwx[:id]`` by comma or line.

    A qualifier that is a name needs star's numeric id behind it: looking it up on the host would give
    the image another meaning on every machine. Raises `UnsupportedContent` there, `InvalidLayer` for
    text that is no ACL.
    """
    lines = (line.partition(b"#")[0].strip() for line in text.replace(b",", b"\n").split(b"\n"))
    entries = sorted(_entry(line) for line in lines if line)
    return _VERSION + b"".join(_ENTRY.pack(tag, bits, who) for tag, who, bits in entries)


def is_equivalent_to_mode(acl: bytes) -> bool:
    """Whether `acl`, in the kernel's form, has the three entries of a mode and no more."""
    return len(acl) <= len(_VERSION) + _BASE_ENTRIES * _ENTRY.size


def _entry(line: bytes) -> tuple[int, int, int]:
    """(tag, id, permissions): the order in which the kernel wants them sorted."""
    fields = [field.strip() for field in line.split(b":")]
    if fields[0] in (b"mask", b"m", b"other", b"o") and len(fields) == 2:
        fields.insert(1, b"")
    if fields[0] not in _TAGS or len(fields) < 3:
        raise InvalidLayer(f"cannot read ACL entry {shown(line)}")
    tag = _TAGS[fields[0]][bool(fields[1])]
    if not fields[1] or tag in _MASK_AND_OTHER:
        return tag, _UNDEFINED_ID, _permissions(fields[2], line)
    number = fields[3] if len(fields) > 3 else fields[1]
    if not number.isdigit() or len(number) > _MAX_DIGITS or int(number) >= _UNDEFINED_ID:
        raise UnsupportedContent(f"cannot read ACL entry {shown(line)}: no numeric id")
    return tag, int(number), _permissions(fields[2], line)


def _permissions(letters: bytes, line: bytes) -> int:
    if not 0 < len(letters) <= _PERMISSION_LETTERS or any(letter not in _BITS for letter in letters):
        raise InvalidLayer(f"cannot read ACL entry {shown(line)}: {shown(letters)} are no permissions")
    return sum(_BITS[letter] for letter in set(letters))
