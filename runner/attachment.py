"""Making a mount and attaching it to a descriptor: the moves that every part of the root filesystem is built of.

A mount point is always a descriptor that was found inside the root, never a path that the kernel would
look up again.
"""

from __future__ import annotations

import errno
import os

from layerstore import linux

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

NO_PRIVILEGE = linux.MOUNT_ATTR_NOSUID | linux.MOUNT_ATTR_NODEV | linux.MOUNT_ATTR_NOEXEC


def new_mount(fsname: str, attributes: int, options: Iterable[tuple[str, str | None]] = ()) -> int:
    """The descriptor of a fresh `fsname`, attached nowhere. An option without a value is a flag."""
    context = linux.fsopen(fsname)
    try:
        linux.fsconfig_set_string(context, "source", fsname)
        for key, value in options:
            if value is None:
                linux.fsconfig_set_flag(context, key)
            else:
                linux.fsconfig_set_string(context, key, value)
        linux.fsconfig_create(context)
        return linux.fsmount(context, attributes)
    finally:
        os.close(context)


def attach_at(mount: int, point: int) -> None:
    """Attach the detached `mount` over the file or directory that the descriptor `point` is."""
    flags = linux.MOVE_MOUNT_F_EMPTY_PATH | linux.MOVE_MOUNT_T_EMPTY_PATH
    linux.move_mount(mount, "", point, "", flags)


def clone(source: int, path: str, attributes: int, *, is_recursive: bool = True, propagation: int = 0) -> int:
    """A detached copy of the tree at `path` under the descriptor `source`, with `attributes` added throughout.

    Without `is_recursive`, of the one mount there alone. `propagation` is one of MS_PRIVATE, MS_SLAVE, or 0 for
    what it is at the source.
    """
    empty = linux.AT_EMPTY_PATH
    whole = linux.AT_RECURSIVE if is_recursive else 0
    tree = linux.open_tree(source, path, linux.OPEN_TREE_CLONE | whole | (0 if path else empty))
    try:
        linux.mount_setattr(
            tree, "", empty | linux.AT_RECURSIVE, attr_set=attributes, propagation=propagation
        )
    except OSError:
        os.close(tree)
        raise
    return tree


def bind(source: int, path: str, point: int, attributes: int) -> None:
    """Attach over `point` what `clone` copies."""
    tree = clone(source, path, attributes)
    try:
        attach_at(tree, point)
    finally:
        os.close(tree)


def require_shared(path: str) -> None:
    """Raises ``OSError`` unless what is mounted at or above `path` shares its mounts with others."""
    fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        with open(f"/proc/self/fdinfo/{fd}", encoding="ascii") as info:
            number = next(line.split()[1] for line in info if line.startswith("mnt_id:"))
    finally:
        os.close(fd)
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as mounts:
        for line in mounts:
            if line.startswith(f"{number} ") and " shared:" in line.split(" - ")[0]:
                return
    raise OSError(errno.EINVAL, "it is not on a shared mount", path)
