"""What starting a container leaves in its files: the empty places that we mount over. No change of its own.

docker has them in a layer of their own below the container's, and so in neither ``diff`` nor ``commit``.
"""

from __future__ import annotations

import os
import stat

from layerstore.layer.diff import ChangeKind
from layerstore.layer.entry import Kind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from layerstore.layer.diff import Change

_FILES = frozenset({b"etc/hosts", b"etc/hostname", b"etc/resolv.conf"})
_DIRECTORIES = frozenset({b"dev", b"proc", b"sys"})
_PARENT = b"etc"


def own_changes(changes: Iterable[Change], lower: int) -> Iterator[Change]:
    """`changes` of the directory `lower` without those, and without /etc where nothing else in it changed."""
    held: Change | None = None
    for change in changes:
        path = change.entry.path
        if held is not None and not path.startswith(_PARENT + b"/"):
            held = None
        if _is_mount_point(change):
            continue
        if path == _PARENT and _is_touched_only(change, lower):
            held = change
            continue
        if held is not None:
            yield held
            held = None
        yield change


def _is_mount_point(change: Change) -> bool:
    if change.kind is not ChangeKind.ADDED:
        return False
    entry = change.entry
    if entry.kind is Kind.DIRECTORY:
        return entry.path in _DIRECTORIES
    return entry.path in _FILES and entry.kind is Kind.REGULAR and entry.size == 0


def _is_touched_only(change: Change, lower: int) -> bool:
    """Whether a directory differs from the one in `lower` in its time alone."""
    if change.kind is not ChangeKind.CHANGED or change.entry.kind is not Kind.DIRECTORY:
        return change.kind is ChangeKind.ADDED and change.entry.kind is Kind.DIRECTORY
    below = os.stat(change.entry.path, dir_fd=lower, follow_symlinks=False)
    seen = change.entry.mode, change.entry.uid, change.entry.gid
    return seen == (stat.S_IMODE(below.st_mode), below.st_uid, below.st_gid)
