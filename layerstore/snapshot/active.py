"""Active snapshots on disk: ``ROOT/snapshots/active/KEY/`` with upper, work, and parent. Paths in, a stack out.

On the path that starts a container: nothing heavy is imported here.
"""

from __future__ import annotations

import os

from layerstore.errors import Conflict, storage_error
from layerstore.mount import MountStack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from layerstore.snapshot.driver import RootAttributes

PARENT = "parent"


def make_active(path: str, parent: bytes, root: RootAttributes | tuple[int, int, int]) -> None:
    """Make the active snapshot at `path`; its upper directory looks as the `root` below it, which it covers.

    Raises `Conflict` where there is one, `StorageError`.
    """
    mode, uid, gid = root
    upper = os.path.join(path, "upper")
    try:
        _make_home(os.path.dirname(path))
        os.mkdir(path, 0o711)
        with open(os.path.join(path, PARENT), "wb") as stream:
            stream.write(parent)
        os.mkdir(os.path.join(path, "work"), 0o700)
        os.mkdir(upper, 0o700)
        os.chown(upper, uid, gid)
        os.chmod(upper, mode)
    except FileExistsError as error:
        raise Conflict(f"snapshot {os.path.basename(path)!r} exists already") from error
    except OSError as error:
        raise storage_error(error, f"prepare snapshot {path}") from error


def _make_home(path: str) -> None:
    if os.path.isdir(path):
        return
    from layerstore.disk.placement import spread  # noqa: PLC0415 - once in the life of a store

    os.makedirs(path, mode=0o700, exist_ok=True)
    spread(path)


def stack_at(path: str, view: MountStack) -> MountStack:
    """`view` with the active snapshot at `path` on top."""
    return MountStack(view.lowers, os.path.join(path, "upper"), os.path.join(path, "work"), view.userxattr)
