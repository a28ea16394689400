"""Whole directory trees of our own: measured and made durable, without following a link."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice

from layerstore.dataclass import dataclass
from layerstore.disk.publish import OpenedDirectory, sync_directory, sync_file
from layerstore.disk.removal import remove_tree, remove_trees, set_all_aside, set_aside
from layerstore.linux.files import syncfs

__all__ = ["Meter", "Usage", "remove_tree", "remove_trees", "set_all_aside", "set_aside", "sync_tree"]

_BLOCK = 512
_SYNCED_SINGLY = 64
_STEP = 1000
"""Characters of a path that are surely less than PATH_MAX bytes, and more than a component has."""
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


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

    def _below(self, path: str, device: int) -> Usage:
        size = inodes = 0
        pending = [path]
        while pending:
            directory = pending.pop()
            for name, status in _statuses(directory):
                if status.st_dev != device:
                    continue
                used = self._count(status)
                size += used.size
                inodes += used.inodes
                if stat.S_ISDIR(status.st_mode):
                    pending.append(f"{directory}/{name}")
        return Usage(size, inodes)

    def _count(self, status: os.stat_result) -> Usage:
        if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
            identity = (status.st_dev, status.st_ino)
            if identity in self._seen:
                return Usage()
            self._seen.add(identity)
        return Usage(status.st_blocks * _BLOCK, 1)


def _statuses(path: str) -> Iterator[tuple[str, os.stat_result]]:
    """What is in the directory `path`, as far as it stays there; nothing where it is gone, or closed to us."""
    try:
        descriptor = _open_far(path)
    except (FileNotFoundError, PermissionError):
        return
    try:
        yield from _statuses_in(descriptor)
    finally:
        os.close(descriptor)


def _statuses_in(directory: int) -> Iterator[tuple[str, os.stat_result]]:
    with os.scandir(directory) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                yield entry.name, entry.stat(follow_symlinks=False)


def _open_far(path: str) -> int:
    """A descriptor of the directory `path`, reached in several steps where it is too long for the kernel."""
    descriptor = None
    try:
        while len(path) > _STEP:
            cut = path.rindex("/", 0, _STEP)
            above, descriptor = descriptor, os.open(path[:cut], _DIRECTORY, dir_fd=descriptor)
            if above is not None:
                os.close(above)
            path = path[cut + 1 :]
        return os.open(path, _DIRECTORY, dir_fd=descriptor)
    finally:
        if descriptor is not None:
            os.close(descriptor)


def sync_tree(path: str) -> None:
    """Make `path` and all below it durable; nothing where it is gone. Links are not followed.

    Many files cost one syncfs(2), which is dear beside other writers, and yet cheaper than one sync each. So
    do files that are too deep for a path.
    """
    few = _few_below(path)
    if few is None:
        with OpenedDirectory(path) as descriptor:
            syncfs(descriptor)
        return
    files, directories = few
    for each in files:
        sync_file(each)
    for each in directories:
        sync_directory(each)


def _few_below(path: str) -> tuple[list[str], list[str]] | None:
    """The regular files and the directories from `path` down; None where they are many, or deep."""
    files: list[str] = []
    directories: list[str] = []
    pending = [path]
    while pending:
        directory = pending.pop()
        try:
            entries = _first_entries(directory)
        except FileNotFoundError:
            continue
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
            return None
        directories.append(directory)
        pending += [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
        files += [entry.path for entry in entries if entry.is_file(follow_symlinks=False)]
        if len(files) + len(directories) + len(pending) > _SYNCED_SINGLY:
            return None
    return files, directories


def _first_entries(directory: str) -> list[os.DirEntry[str]]:
    """What is in a directory, or where that is much, enough to tell that it is."""
    with os.scandir(directory) as entries:
        return list(islice(entries, _SYNCED_SINGLY + 1))
