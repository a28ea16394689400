"""Where a file system puts what is made in a directory: a hint, for trees that come and go."""

from contextlib import suppress

from layerstore.disk.publish import OpenedDirectory
from layerstore.linux.files import FS_TOPDIR_FL, fs_ioc_getflags, fs_ioc_setflags


def spread(directory: str) -> None:
    """Let each directory that is made in `directory` have a part of the disk of its own, where ext4 is asked.

    ext4 puts files near their directory. Without a journal it passes over inodes that were removed within the
    last minutes, looking at each (Linux fs/ext4/ialloc.c, ``recently_deleted``): where trees of thousands of
    files are removed and made again side by side, that is most of the time of making them. With the flag "top
    of a directory tree" (chattr(1), ``T``) it looks for another group of blocks first. Others have no such flag.
    """
    with suppress(OSError), OpenedDirectory(directory) as descriptor:
        fs_ioc_setflags(descriptor, fs_ioc_getflags(descriptor) | FS_TOPDIR_FL)
