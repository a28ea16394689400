"""Whole directory trees of our own: measured and removed, without following a link."""

import errno
import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import count

from layerstore.disk.faults import CrashPoint
from layerstore.disk.publish import opened_directory, sync_directory, sync_file, temporary_name
from layerstore.linux.files import syncfs

_BLOCK = 512
_LIFTED = ".lstore-removing-"
_SYNCED_SINGLY = 64
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

_ASIDE = CrashPoint("remove: set aside")


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


def set_aside(path: str) -> str:
    """Take `path` out of sight at once, under a temporary name beside it, which comes back.

    So is removed what has to be there whole or not at all: set aside, then `remove_tree`.
    """
    aside = temporary_name(*os.path.split(path))
    os.rename(path, aside)
    _ASIDE.reach()
    return aside


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


def remove_trees(paths: Iterable[str]) -> None:
    """Remove each of `paths` so that nobody sees a part of one, even after a power cut. Idempotent."""
    aside = [set_aside(path) for path in paths if os.path.lexists(path)]
    for directory in sorted({os.path.dirname(path) for path in aside}):
        sync_directory(directory)
    for path in aside:
        remove_tree(path)


def remove_tree(path: str) -> None:
    """Remove `path` and all below it. Idempotent, also beside another removal of the same tree.

    Links are removed, never followed. Directories that their owner made unsearchable are opened up
    first, so that an ordinary user can remove what a layer's modes would protect. Subdirectories are
    moved to the top before they are emptied: so no depth of nesting costs descriptors or stack.
    """
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
    except (IsADirectoryError, PermissionError):
        if not os.path.isdir(path):
            raise
        while not _is_removed(path):
            pass


def _is_removed(path: str) -> bool:
    """Empty the directory `path` and remove it; false if another removal of it moved something in."""
    try:
        top = _open_writable(path)
        try:
            _empty(top)
        finally:
            os.close(top)
        os.rmdir(path)
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno != errno.ENOTEMPTY:
            raise
        return False
    return True


def _empty(top: int) -> None:
    unique = f"{_LIFTED}{os.urandom(4).hex()}-"  # an interrupted removal may have left its own
    serial = count()
    while directories := _unlink_files(top):
        for name in directories:
            with suppress(FileNotFoundError):
                _lift_children(name, top, unique, serial)
                os.rmdir(name, dir_fd=top)


def _lift_children(name: str, top: int, unique: str, serial: "count[int]") -> None:
    descriptor = _open_writable(name, top)
    try:
        for child in _unlink_files(descriptor):
            with suppress(FileNotFoundError):
                _open_up(child, descriptor)
                os.rename(child, f"{unique}{next(serial)}", src_dir_fd=descriptor, dst_dir_fd=top)
    finally:
        os.close(descriptor)


def _unlink_files(directory: int) -> list[str]:
    """Unlink everything in `directory` but its subdirectories, and name those."""
    with os.scandir(directory) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_directory in found:
        if not is_directory:
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=directory)
    return [name for name, is_directory in found if is_directory]


def _open_up(name: str, parent: int | None) -> None:
    """Give a directory's owner back what a layer's mode took; changing ``..`` by a rename needs it too."""
    status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    if status.st_mode & 0o700 != 0o700:
        os.chmod(name, 0o700, dir_fd=parent)


def _open_writable(name: str, parent: int | None = None) -> int:
    _open_up(name, parent)
    return os.open(name, _DIRECTORY, dir_fd=parent)
