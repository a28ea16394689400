"""Removing whole directory trees of our own, without following a link. On the path that starts a container."""

from __future__ import annotations

import errno
import os
from itertools import count

from layerstore.disk.faults import CrashPoint
from layerstore.disk.publish import sync_directory, temporary_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_LIFTED = ".lstore-removing-"
_DEPTH = 16
"""Levels that are emptied where they are, each with a descriptor."""
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

_ASIDE = CrashPoint("remove: set aside")

_remove_others: Callable[[str], None] | None = None


def remove_others_with(remove: Callable[[str], None]) -> None:
    """Let `remove` do what `remove_tree` may not do as an ordinary user: remove trees with subordinate ids' files."""
    global _remove_others  # whose files a process may remove is a property of the process
    _remove_others = remove


def set_aside(path: str) -> str:
    """Take `path` out of sight in one step: rename it to a temporary name beside it, which is returned.

    What must be there whole or not at all is removed in this way: set aside first, then `remove_tree`.
    """
    aside = temporary_name(*os.path.split(path))
    os.rename(path, aside)
    _ASIDE.reach()
    return aside


def remove_trees(paths: Iterable[str]) -> None:
    """Remove each of `paths` so that nobody sees a part of one, even after a power cut. Idempotent."""
    for path in set_all_aside(paths):
        remove_tree(path)


def set_all_aside(paths: Iterable[str]) -> list[str]:
    """`set_aside` each of `paths` that is there, durably; the names that they have now."""
    aside = [set_aside(path) for path in paths if os.path.lexists(path)]
    for directory in sorted({os.path.dirname(path) for path in aside}):
        sync_directory(directory)
    return aside


def remove_tree(path: str) -> None:
    """Remove `path` and all below it. Idempotent, also beside another removal of the same tree.

    Links are removed, never followed. Directories that their owner made unsearchable are opened up
    first, so that an ordinary user can remove what a layer's modes would protect. Subdirectories are
    moved to the top before they are emptied: so no depth of nesting costs descriptors or stack.
    """
    try:
        _remove(path)
    except PermissionError:
        if _remove_others is None:
            raise
        _remove_others(path)


def _remove(path: str) -> None:
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

    def lift(name: str, parent: int) -> None:
        _open_up(name, parent)
        os.rename(name, f"{unique}{next(serial)}", src_dir_fd=parent, dst_dir_fd=top)

    while directories := _unlink_files(top):
        for name in directories:
            _remove_below(name, top, lift, _DEPTH)


def _remove_below(name: str, parent: int, lift: Callable[[str, int], None], depth: int) -> None:
    """Remove the directory `name` of `parent`. What is more than `depth` levels down is lifted out of it."""
    try:
        descriptor = _open_writable(name, parent)
        try:
            for child in _unlink_files(descriptor):
                if depth:
                    _remove_below(child, descriptor, lift, depth - 1)
                else:
                    lift(child, descriptor)
        finally:
            os.close(descriptor)
        os.rmdir(name, dir_fd=parent)
    except FileNotFoundError:
        return


def _unlink_files(directory: int) -> list[str]:
    """Unlink everything in `directory` but its subdirectories, and name those."""
    with os.scandir(directory) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_directory in found:
        if not is_directory:
            try:
                os.unlink(name, dir_fd=directory)
            except FileNotFoundError:
                continue
    return [name for name, is_directory in found if is_directory]


def _open_up(name: str, parent: int | None) -> None:
    """Give a directory's owner back what a layer's mode took; changing ``..`` by a rename needs it too."""
    status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    if status.st_mode & 0o700 != 0o700:
        os.chmod(name, 0o700, dir_fd=parent)


def _open_writable(name: str, parent: int | None = None) -> int:
    _open_up(name, parent)
    return os.open(name, _DIRECTORY, dir_fd=parent)
