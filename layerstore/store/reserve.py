"""A little room kept back, so that an image can be removed from a disk that is full.

Removing begins with a smaller ``index.json`` written beside the old one, which takes room and an inode
before it gives any. The file ``reserve`` has both, and is given up for that purpose alone.
"""

import os
from contextlib import suppress

from layerstore.disk.publish import remove_file
from layerstore.store.layout import Layout

_LEAST = 64 << 10


def keep(layout: Layout, size: int) -> None:
    """Let room for two files of `size` bytes be kept back, as far as the disk has it."""
    wanted = max(_LEAST, 2 * size)
    with suppress(OSError):
        if os.stat(layout.reserve).st_size >= wanted:
            return
    try:
        descriptor = os.open(layout.reserve, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, wanted)
        finally:
            os.close(descriptor)
    except OSError:  # there is no room to keep back, which hinders nobody yet
        with suppress(OSError):
            remove_file(layout.reserve)


def spend(layout: Layout) -> bool:
    """Give the room back to the disk; whether there was any."""
    is_kept = os.path.exists(layout.reserve)
    remove_file(layout.reserve)
    return is_kept
