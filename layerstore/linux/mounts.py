"""Mounting: the old calls of mount(2) and the file-descriptor calls of Linux 5.2 and later.

The latter have no manual page in Debian 12: Linux ``Documentation/filesystems/mount_api.rst`` and
``include/uapi/linux/mount.h`` are the source; mount_setattr(2) and pivot_root(2) have one.
"""

from __future__ import annotations

import os
import struct

from layerstore.linux.call import by_machine, encoded, libc, numbered
from layerstore.linux.foreign import c_char_p, c_int, c_size_t, c_uint, c_ulong

TYPE_CHECKING = False
if TYPE_CHECKING:
    from layerstore.linux.call import Path

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REC = 0x4000
MS_PRIVATE = 0x40000
MS_SLAVE = 0x80000

MNT_DETACH = 0x2
UMOUNT_NOFOLLOW = 0x8

AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000

FSOPEN_CLOEXEC = 0x1
FSMOUNT_CLOEXEC = 0x1
OPEN_TREE_CLONE = 0x1
OPEN_TREE_CLOEXEC = os.O_CLOEXEC
MOVE_MOUNT_F_EMPTY_PATH = 0x4
MOVE_MOUNT_T_EMPTY_PATH = 0x40

FSCONFIG_SET_FLAG = 0
FSCONFIG_SET_STRING = 1
FSCONFIG_SET_FD = 5
FSCONFIG_CMD_CREATE = 6

MOUNT_ATTR_RDONLY = 0x1
MOUNT_ATTR_NOSUID = 0x2
MOUNT_ATTR_NODEV = 0x4
MOUNT_ATTR_NOEXEC = 0x8
MOUNT_ATTR_IDMAP = 0x100000

_mount = libc("mount", c_char_p, c_char_p, c_char_p, c_ulong, c_char_p)
_umount2 = libc("umount2", c_char_p, c_int)
_pivot_root = numbered("pivot_root", by_machine(x86_64=155, arm64=41), c_char_p, c_char_p)
_open_tree = numbered("open_tree", 428, c_int, c_char_p, c_uint)
_move_mount = numbered("move_mount", 429, c_int, c_char_p, c_int, c_char_p, c_uint)
_fsopen = numbered("fsopen", 430, c_char_p, c_uint)
_fsconfig = numbered("fsconfig", 431, c_int, c_uint, c_char_p, c_char_p, c_int)
_fsmount = numbered("fsmount", 432, c_int, c_uint, c_uint)
_mount_setattr = numbered("mount_setattr", 442, c_int, c_char_p, c_uint, c_char_p, c_size_t)


def mount(
    source: Path | None, target: Path, filesystemtype: str | None, mountflags: int, data: Path | None = None
) -> None:
    """mount(2)."""
    _mount(encoded(source), encoded(target), encoded(filesystemtype), mountflags, encoded(data), path=target)


def umount2(target: Path, flags: int = 0) -> None:
    """umount2(2)."""
    _umount2(encoded(target), flags, path=target)


def pivot_root(new_root: Path, put_old: Path) -> None:
    """pivot_root(2)."""
    _pivot_root(encoded(new_root), encoded(put_old), path=new_root)


def open_tree(dfd: int, filename: Path, flags: int) -> int:
    """open_tree(2): an O_PATH descriptor of a mount, with OPEN_TREE_CLONE of a detached copy of it."""
    return _open_tree(dfd, encoded(filename), flags | OPEN_TREE_CLOEXEC, path=filename)


def move_mount(from_dfd: int, from_path: Path, to_dfd: int, to_path: Path, flags: int) -> None:
    """move_mount(2)."""
    _move_mount(from_dfd, encoded(from_path), to_dfd, encoded(to_path), flags, path=to_path or None)


def fsopen(fsname: str) -> int:
    """fsopen(2): the descriptor of a file system context to be configured."""
    return _fsopen(encoded(fsname), FSOPEN_CLOEXEC, path=fsname)


def fsconfig_set_string(fs_fd: int, key: str, value: Path) -> None:
    """fsconfig(2) FSCONFIG_SET_STRING. The kernel takes at most 255 bytes of `value`."""
    _fsconfig(fs_fd, FSCONFIG_SET_STRING, encoded(key), encoded(value), 0, path=value)


def fsconfig_set_flag(fs_fd: int, key: str) -> None:
    """fsconfig(2) FSCONFIG_SET_FLAG."""
    _fsconfig(fs_fd, FSCONFIG_SET_FLAG, encoded(key), None, 0, path=key)


def fsconfig_set_fd(fs_fd: int, key: str, fd: int) -> None:
    """fsconfig(2) FSCONFIG_SET_FD."""
    _fsconfig(fs_fd, FSCONFIG_SET_FD, encoded(key), None, fd, path=key)


def fsconfig_create(fs_fd: int) -> None:
    """fsconfig(2) FSCONFIG_CMD_CREATE: make the superblock."""
    _fsconfig(fs_fd, FSCONFIG_CMD_CREATE, None, None, 0)


def fsmount(fs_fd: int, attr_flags: int = 0) -> int:
    """fsmount(2): the descriptor of a mount that is attached nowhere yet."""
    return _fsmount(fs_fd, FSMOUNT_CLOEXEC, attr_flags)


def mount_setattr(
    dirfd: int,
    pathname: Path,
    flags: int,
    *,
    attr_set: int = 0,
    attr_clr: int = 0,
    propagation: int = 0,
    userns_fd: int = 0,
) -> None:
    """mount_setattr(2); with AT_RECURSIVE in `flags` for the whole tree, `userns_fd` with MOUNT_ATTR_IDMAP."""
    attributes = struct.pack("QQQQ", attr_set, attr_clr, propagation, userns_fd)
    _mount_setattr(dirfd, encoded(pathname), flags, attributes, len(attributes), path=pathname or None)
