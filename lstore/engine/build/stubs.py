"""Mount points that a step's launch made in its upper directory, taken out again before it becomes a layer.

A step's upper directory was empty when the mounts were made, so that what is missing below was made for
them: BuildKit removes the same. Directories on the way that hold nothing else and look as below go too.
"""

import os
import stat
from collections.abc import Iterable, Sequence

from layerstore.linux import RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, openat2
from runner.inside import locate

OF_EVERY_STEP = ("/proc", "/sys", "/dev", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf")
"""Where `runner.launch` mounts something in every container."""
_EXACTLY = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS


def remove_stubs(upper: int, lower: int, targets: Iterable[str]) -> None:
    """Remove from the directory `upper` what was made to mount at `targets` over `lower`. Raises ``OSError``."""
    for target in targets:
        parts = locate(lower, target)
        for count in range(len(parts), 0, -1):
            if not _remove(upper, lower, parts[:count]):
                break


def _remove(upper: int, lower: int, parts: Sequence[str]) -> bool:
    """Whether `parts` is not in the upper directory any more, or never was."""
    path = "/".join(parts)
    present, below = _status(upper, path), _status(lower, path)
    if present is None:
        return True
    if below is not None and not _is_alike(present, below):
        return False
    parent = openat2(upper, "/".join(parts[:-1]) or ".", os.O_RDONLY | os.O_DIRECTORY, resolve=_EXACTLY)
    try:
        if stat.S_ISDIR(present.st_mode):
            os.rmdir(parts[-1], dir_fd=parent)
        elif below is None and stat.S_ISREG(present.st_mode) and not present.st_size:
            os.unlink(parts[-1], dir_fd=parent)
        else:
            return False
    except OSError:
        return False  # not empty: the step put something there
    finally:
        os.close(parent)
    return True


def _is_alike(present: os.stat_result, below: os.stat_result) -> bool:
    """Whether a directory was only copied up, its time apart."""
    if not (stat.S_ISDIR(present.st_mode) and stat.S_ISDIR(below.st_mode)):
        return False
    return (present.st_mode, present.st_uid, present.st_gid) == (below.st_mode, below.st_uid, below.st_gid)


def _status(root: int, path: str) -> os.stat_result | None:
    try:
        fd = openat2(root, path, os.O_PATH | os.O_NOFOLLOW, resolve=_EXACTLY)
    except OSError:
        return None
    try:
        return os.fstat(fd)
    finally:
        os.close(fd)
