"""Who the process is: "user[:group]" looked up in the container's own /etc/passwd and /etc/group.

The rules are docker's (github.com/moby/sys user.GetExecUser): a name is preferred to a number of the same
text; a number needs no entry; a group that is given replaces the user's supplementary groups. The files
are the image's, so they are read inside its root, bounded, and never waited for.
"""

from __future__ import annotations

from layerstore.errors import LaunchError
from layerstore.value import Value
from runner.inside import read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

# Signed 32-bit ids wrap round to root in some programs (CVE-2024-40635).
MAX_ID = 2**31 - 1
_MAX_FILE = 8 << 20
_MAX_GROUPS = 65536  # setgroups(2): NGROUPS_MAX


class Identity(Value):
    """Numeric ids of a process; `groups` holds all of its groups, the primary one first."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str = "/"


def resolve(user: str, root: int) -> Identity:
    """The identity that `user` means inside the directory descriptor `root`; "" is uid 0.

    Raises `LaunchError` for a name without an entry and for ids past 2^31 - 1.
    """
    wanted, _, group = user.partition(":")
    entry = _find(_entries(root, "etc/passwd", fields=7), wanted or "0")
    if entry is None and wanted and not _is_number(wanted):
        raise LaunchError(f"cannot run as {user!r}: no user {wanted!r} in the image's /etc/passwd")
    uid = _number(entry[2] if entry else wanted or "0", user)
    gid = _number(entry[3] if entry else "0", user)
    groups = _entries(root, "etc/group", fields=4)
    if group:
        gid = _group_id(groups, group, user)
        members: tuple[int, ...] = ()
    else:
        members = _memberships(groups, entry[0], user) if entry else ()
    others = tuple(number for number in dict.fromkeys(members) if number != gid)
    return Identity(uid, gid, (gid, *others)[:_MAX_GROUPS], (entry[5] if entry else "") or "/")


def with_groups(who: Identity, names: Sequence[str], root: int) -> Identity:
    """`who` in further groups, names of the image's or numbers: docker's ``--group-add``. Raises `LaunchError`."""
    if not names:
        return who
    entries = _entries(root, "etc/group", fields=4)
    more = tuple(_group_id(entries, name, f":{name}") for name in names)
    return Identity(who.uid, who.gid, tuple(dict.fromkeys((*who.groups, *more)))[:_MAX_GROUPS], who.home)


def _entries(root: int, path: str, *, fields: int) -> list[list[str]]:
    """The lines of a passwd(5) or group(5) file as `fields` strings each; short lines are filled up."""
    text = (read_file(root, path, _MAX_FILE) or b"").decode(errors="surrogateescape")
    lines = (line.strip() for line in text.split("\n"))
    split = [line.split(":") for line in lines if line and not line.startswith("#")]
    return [(parts + [""] * fields)[:fields] for parts in split if len(parts) > 2]


def _find(entries: list[list[str]], wanted: str) -> list[str] | None:
    """The first entry of that name, else the first of that number."""
    for entry in entries:
        if entry[0] == wanted:
            return entry
    if not _is_number(wanted):
        return None
    return next((entry for entry in entries if _is_number(entry[2]) and int(entry[2]) == int(wanted)), None)


def _group_id(groups: list[list[str]], group: str, user: str) -> int:
    entry = _find(groups, group)
    if entry is None and not _is_number(group):
        raise LaunchError(f"cannot run as {user!r}: no group {group!r} in the image's /etc/group")
    return _number(entry[2] if entry else group, user)


def _memberships(groups: list[list[str]], name: str, user: str) -> tuple[int, ...]:
    return tuple(_number(entry[2], user) for entry in groups if name in entry[3].split(","))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 20


def _number(text: str, user: str) -> int:
    if not _is_number(text) or int(text) > MAX_ID:
        raise LaunchError(f"cannot run as {user!r}: {text!r} is no id from 0 to {MAX_ID}")
    return int(text)
