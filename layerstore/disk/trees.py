"""Whole directory trees of our own: measured and made durable, without following a link."""

import os
import stat
from dataclasses import dataclass

from layerstore.disk.publish import opened_directory, sync_directory, sync_file
from layerstore.disk.removal import remove_tree, remove_trees, set_aside
from layerstore.linux.files import syncfs

__all__ = ["Meter", "Usage", "remove_tree", "remove_trees", "set_aside", "sync_tree"]

_BLOCK = 512
_SYNCED_SINGLY = 64


@dataclass(frozen=True, slots=True)
class Usage:
    """What a tree takes on disk: bytes as ``du`` counts them, and inodes."""

    size: int = 0
    inodes: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(self.size + other.size, self.inodes + other.inodes)


class Meter:
    """Adds up trees; a file with several names counts once, as it does for ``du``."""

    def __init__(self) -> None:
        self._seen: set[tuple[int, int]] = set()

    def measure(self, path: str) -> Usage:
        """The usage of `path` and all below it that this meter has not counted yet, as ``du -x`` sees it."""
        try:
            status = os.stat(path, follow_symlinks=False)
        except FileNotFoundError:
            return Usage()
        total = self._count(status)
        if stat.S_ISDIR(status.st_mode):
            total += self._below(path, status.st_dev)
        return total

    def measure_alone(self, path: str) -> Usage:
        """The usage of `path` without what is below it, unless this meter has counted it."""
        try:
            return self._count(os.stat(path, follow_symlinks=False))
        except FileNotFoundError:
            return Usage()

    def _below(self, path: str, device: int) -> Usage:
        size = inodes = 0
        pending = [path]
        while pending:
            try:
                entries = os.scandir(pending.pop())
            except (FileNotFoundError, PermissionError):
                continue
            with entries:
                for entry in entries:
                    try:
                        status = entry.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue
                    if status.st_dev != device:
                        continue
                    used = self._count(status)
                    size += used.size
                    inodes += used.inodes
                    if stat.S_ISDIR(status.st_mode):
                        pending.append(entry.path)
        return Usage(size, inodes)

    def _count(self, status: os.stat_result) -> Usage:
        if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
            identity = (status.st_dev, status.st_ino)
            if identity in self._seen:
                return Usage()
            self._seen.add(identity)
        return Usage(status.st_blocks * _BLOCK, 1)


def sync_tree(path: str) -> None:
    """Make `path` and all below it durable; nothing where it is gone. Links are not followed.

    Many files cost one syncfs(2), which is dear beside other writers, and yet cheaper than one sync each.
    """
    files: list[str] = []
    directories: list[str] = []
    for directory, _, names in os.walk(path):
        directories.append(directory)
        files += (os.path.join(directory, name) for name in names)
    if len(files) + len(directories) > _SYNCED_SINGLY:
        with opened_directory(path) as descriptor:
            syncfs(descriptor)
        return
    for each in files:
        if stat.S_ISREG(os.stat(each, follow_symlinks=False).st_mode):
            sync_file(each)
    for each in directories:
        sync_directory(each)
