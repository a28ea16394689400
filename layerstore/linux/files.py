"""Files: opening inside a root, inode flags, flushing a range or a file system."""

from __future__ import annotations

import errno
import os
import struct

from layerstore.linux.call import encoded, libc, numbered
from layerstore.linux.foreign import c_char_p, c_int, c_long, c_size_t, c_uint
from layerstore.linux.ioctl import ioctl

TYPE_CHECKING = False
if TYPE_CHECKING:
    from layerstore.linux.call import Path

RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RESOLVE_IN_ROOT = 0x10

CLOSE_RANGE_CLOEXEC = 0x4
LAST_FD = 0xFFFFFFFF

SYNC_FILE_RANGE_WRITE = 0x2

FS_IOC_GETFLAGS = 0x80086601
FS_IOC_SETFLAGS = 0x40086602
FS_TOPDIR_FL = 0x00020000

# openat2(2) gives EAGAIN when a rename anywhere races with a lookup through "..", and asks for a retry.
_RACE_RETRIES = 128

# The kernel reads and writes an int, whatever the request's number says of a long (ioctl_iflags(2), "BUGS").
_FLAGS = struct.Struct("i4x")

_openat2 = numbered("openat2", 437, c_int, c_char_p, c_char_p, c_size_t)
_syncfs = libc("syncfs", c_int)
_sync_file_range = libc("sync_file_range", c_int, c_long, c_long, c_uint)
_close_range = numbered("close_range", 436, c_uint, c_uint, c_uint)


def openat2(dirfd: int, pathname: Path, flags: int, *, mode: int = 0, resolve: int = 0) -> int:
    """openat2(2), always with O_CLOEXEC; `resolve` is of RESOLVE_*. Retries when a rename races with it."""
    how = struct.pack("QQQ", flags | os.O_CLOEXEC, mode, resolve)
    for _ in range(_RACE_RETRIES):
        try:
            return _openat2(dirfd, encoded(pathname), how, len(how), path=pathname)
        except OSError as error:
            if error.errno != errno.EAGAIN:
                raise
    raise OSError(errno.EAGAIN, "openat2: renames keep racing with this lookup", pathname)


def syncfs(fd: int) -> None:
    """syncfs(2): everything of the file system that `fd` is on is durable on return.

    Since Linux 5.8 a write error that was met since `fd` was opened is raised.
    """
    _syncfs(fd)


def sync_file_range(fd: int, offset: int, nbytes: int, flags: int) -> None:
    """sync_file_range(2): with SYNC_FILE_RANGE_WRITE, begin to write the range to the disk. Makes nothing durable."""
    _sync_file_range(fd, offset, nbytes, flags)


def fs_ioc_getflags(fd: int) -> int:
    """ioctl_iflags(2) FS_IOC_GETFLAGS: the inode flags, of FS_*_FL."""
    answer = ioctl(fd, "FS_IOC_GETFLAGS", FS_IOC_GETFLAGS, bytes(_FLAGS.size))
    return int(_FLAGS.unpack(answer)[0])


def fs_ioc_setflags(fd: int, flags: int) -> None:
    """ioctl_iflags(2) FS_IOC_SETFLAGS: the inode has exactly these flags, where the file system knows them."""
    ioctl(fd, "FS_IOC_SETFLAGS", FS_IOC_SETFLAGS, _FLAGS.pack(flags))


def close_range(first: int, last: int = LAST_FD, flags: int = 0) -> None:
    """close_range(2): closes `first` to `last`, both included; with CLOSE_RANGE_CLOEXEC on the next exec."""
    _close_range(first, last, flags)
