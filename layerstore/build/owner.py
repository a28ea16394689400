"""Who ``--chown`` and WORKDIR's USER mean, by the image's own /etc/passwd and /etc/group.

Docker's rules: a number needs no entry; a user without a group brings the group of the entry, a number
without one stands for both.
"""

from typing import Final

from layerstore.build.root_tree import RootTree
from layerstore.errors import InvalidInput

MAX_ID: Final = 2**31 - 1
"""Ids beyond turn negative in other programs (CVE-2024-40635)."""
_MAX_FILE: Final = 8 << 20

Owner = tuple[int, int]
"""uid and gid."""


def find_owner(text: str, root: RootTree) -> Owner:
    """The owner that ``user[:group]`` means in `root`. Raises `InvalidInput` for names without an entry."""
    user, colon, group = text.partition(":")
    uid, gid = _user(user, root)
    return uid, _group(group, root) if colon and group else gid


def _user(user: str, root: RootTree) -> Owner:
    if _is_number(user):
        return _id(user), _id(user)
    for fields in _entries(root, b"etc/passwd"):
        if len(fields) > 3 and fields[0] == user:
            return _id(fields[2]), _id(fields[3])
    raise InvalidInput(f"unable to find user {user!r}: no such entry in the image's /etc/passwd")


def _group(group: str, root: RootTree) -> int:
    if _is_number(group):
        return _id(group)
    for fields in _entries(root, b"etc/group"):
        if len(fields) > 2 and fields[0] == group:
            return _id(fields[2])
    raise InvalidInput(f"unable to find group {group!r}: no such entry in the image's /etc/group")


def _entries(root: RootTree, path: bytes) -> list[list[str]]:
    text = root.read(path, _MAX_FILE).decode(errors="surrogateescape")
    return [line.split(":") for line in text.splitlines()]


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _id(text: str) -> int:
    if not _is_number(text) or int(text) > MAX_ID:
        raise InvalidInput(f"{text[:40]!r} is no id from 0 to {MAX_ID}")
    return int(text)
