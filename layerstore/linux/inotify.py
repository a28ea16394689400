"""inotify(7): waiting for changes of files."""

from __future__ import annotations

import os

from layerstore.linux.call import encoded, libc
from layerstore.linux.foreign import c_char_p, c_int, c_uint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from layerstore.linux.call import Path

IN_MODIFY = 0x2
IN_MOVED_TO = 0x80
IN_CREATE = 0x100
IN_DELETE_SELF = 0x400
IN_NONBLOCK = os.O_NONBLOCK
IN_CLOEXEC = os.O_CLOEXEC

_inotify_init1 = libc("inotify_init1", c_int)
_inotify_add_watch = libc("inotify_add_watch", c_int, c_char_p, c_uint)


def inotify_init() -> int:
    """inotify_init1(2), not blocking: a descriptor that can be read once something happened."""
    return _inotify_init1(IN_NONBLOCK | IN_CLOEXEC)


def inotify_add_watch(fd: int, pathname: Path, mask: int) -> None:
    """inotify_add_watch(2)."""
    _inotify_add_watch(fd, encoded(pathname), mask, path=pathname)
