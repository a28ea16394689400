"""Carrying out a `MountStack` at a directory: EROFS images and directories under one overlay.

Stage "mount stack" of docs/flow.md. Everything goes by the kernel's file-descriptor calls, so the lowers of a
recent kernel need no mount points and one umount frees the whole stack. `Probe` says which way a kernel
needs; each way works on every kernel newer than the one that needs it, so all are tested on one machine:

| Linux | EROFS | lowers |
|---|---|---|
| 6.15 | from files | by descriptor |
| 6.12 | from files | attached at the target for a moment, appended by path |
| 6.7 | through loop devices | the same |
| 5.12 | through loop devices | the same, in one option of mount(2) |

On the path that starts a process: no ``dataclasses`` here.
"""

from __future__ import annotations

import errno
import os

from layerstore import linux
from layerstore.errors import LimitExceeded, MissingFeature, UsageError, storage_error
from layerstore.mount import Directory, ErofsImage
from layerstore.snapshot.erofs_mount import create, mount_erofs
from layerstore.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Literal

    from layerstore.mount import Lower, MountStack

__all__ = ["MAX_LOWERS", "Probe", "attach", "detach", "mount_erofs"]

# Linux fs/overlayfs/super.c OVL_MAX_STACK.
MAX_LOWERS = 500

# What a changed layer holds must be readable by name alone: no renames by reference, no content elsewhere.
_PLAIN_UPPER = (("redirect_dir", "nofollow"), ("metacopy", "off"), ("index", "off"))

_FEATURES = frozenset({errno.ENODEV, errno.ENOSYS, errno.EPERM})


class Probe(Value):
    """How a kernel takes an image's files and an overlay's lowers."""

    erofs_from_files: bool
    lowers: Literal["by-descriptor", "appended", "joined"]

    @classmethod
    def of_release(cls, release: str) -> Probe:
        """The way of the kernel that calls itself `release`, as uname(2) gives it ("6.1.0-18-amd64")."""
        digits = "".join(character if character.isdigit() else " " for character in release).split()
        version = tuple(int(number) for number in digits[:2])
        if version >= (6, 15):
            return cls(erofs_from_files=True, lowers="by-descriptor")
        if version >= (6, 7):
            return cls(erofs_from_files=version >= (6, 12), lowers="appended")
        return cls(erofs_from_files=False, lowers="joined")


class _How(Value):
    """The kernel's way, and the user namespace that maps the ids of the lowers' files, if one does."""

    probe: Probe
    users: int | None


def attach(
    stack: MountStack,
    target: str,
    *,
    probe: Probe | None = None,
    attributes: int = 0,
    users: int | None = None,
) -> None:
    """Mount `stack` at the directory `target`, in the calling thread's mount namespace.

    The mount has the MOUNT_ATTR_* `attributes` from the start. With `users`, the descriptor of a user namespace,
    the lowers' files are seen with the ids that it maps theirs to (mount_setattr(2), "ID-mapped mounts").

    Callers that want nothing left behind when they are killed call it in a namespace of their own. Kernels
    before 6.7 make the thread leave its siblings' working directory (unshare(2) CLONE_FS).

    Raises `UsageError` for a stack of nothing, `LimitExceeded` for more than 500 lowers, `MissingFeature` where
    the kernel or the privilege is not there, `StorageError` for all else; then nothing is mounted.
    """
    if len(stack.lowers) > MAX_LOWERS:
        raise LimitExceeded(f"cannot mount {len(stack.lowers)} layers: overlayfs takes {MAX_LOWERS}")
    if not stack.lowers and stack.upper is None:
        raise UsageError("cannot mount an empty stack: it has no lower and no upper directory")
    how = _How(probe or Probe.of_release(os.uname().release), users)
    opened: list[int] = []
    try:
        root = _compose(stack, target, how, opened)
        if attributes:
            linux.mount_setattr(root, "", linux.AT_EMPTY_PATH, attr_set=attributes)
        linux.move_mount(root, "", linux.AT_FDCWD, target, linux.MOVE_MOUNT_F_EMPTY_PATH)
    except OSError as error:
        if error.errno in _FEATURES:
            raise MissingFeature(
                f"cannot mount an image at {target}: {(error.strerror or str(error)).lower()}"
            ) from error
        raise storage_error(error, f"mount an image at {target}") from error
    finally:
        for fd in opened:
            os.close(fd)


def detach(target: str) -> None:
    """Unmount the topmost mount at `target`. Raises `StorageError`, also while something in it is in use."""
    try:
        linux.umount2(target, linux.UMOUNT_NOFOLLOW)
    except OSError as error:
        raise storage_error(error, f"unmount {target}") from error


def _compose(stack: MountStack, target: str, how: _How, opened: list[int]) -> int:
    """The descriptor of the stack's mount, attached nowhere; all descriptors it needs are in `opened`."""
    if stack.upper is None and len(stack.lowers) == 1:
        root = _lower(stack.lowers[0], how)
    elif not stack.lowers:
        root = linux.open_tree(linux.AT_FDCWD, stack.upper or "", linux.OPEN_TREE_CLONE)
    elif how.probe.lowers == "by-descriptor":
        root = _overlay_by_descriptor(stack, how, opened)
    else:
        root = _overlay_by_path(stack, target, how)
    opened.append(root)
    return root


def _lower(lower: Lower, how: _How) -> int:
    """A detached read-only mount of one lower."""
    if isinstance(lower, ErofsImage):
        tree = mount_erofs(lower, from_files=how.probe.erofs_from_files)
    else:
        tree = linux.open_tree(linux.AT_FDCWD, lower.path, linux.OPEN_TREE_CLONE)
    mapped = 0 if how.users is None else linux.MOUNT_ATTR_IDMAP
    try:
        linux.mount_setattr(
            tree,
            "",
            linux.AT_EMPTY_PATH,
            attr_set=linux.MOUNT_ATTR_RDONLY | mapped,
            userns_fd=how.users or 0,
        )
    except OSError:
        os.close(tree)
        raise
    return tree


def _overlay_by_descriptor(stack: MountStack, how: _How, opened: list[int]) -> int:
    context = linux.fsopen("overlay")
    opened.append(context)
    for lower in stack.lowers:
        opened.append(_open_lower(lower, how))
        linux.fsconfig_set_fd(context, "lowerdir+", opened[-1])
    if stack.upper is not None and stack.work is not None:
        for key, path in (("upperdir", stack.upper), ("workdir", stack.work)):
            opened.append(_directory(path))
            linux.fsconfig_set_fd(context, key, opened[-1])
    return _finish(context, stack)


def _open_lower(lower: Lower, how: _How) -> int:
    if isinstance(lower, Directory) and how.users is None:
        return _directory(lower.path)
    return _lower(lower, how)


def _directory(path: str) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def _finish(context: int, stack: MountStack) -> int:
    linux.fsconfig_set_string(context, "source", "overlay")
    for key, value in _PLAIN_UPPER:
        linux.fsconfig_set_string(context, key, value)
    if stack.userxattr:
        linux.fsconfig_set_flag(context, "userxattr")
    if stack.is_volatile:
        linux.fsconfig_set_flag(context, "volatile")
    create(context)
    return linux.fsmount(context, linux.MOUNT_ATTR_RDONLY if stack.is_read_only else 0)


def _overlay_by_path(stack: MountStack, target: str, how: _How) -> int:
    """An overlay whose parts have names for as long as it takes to mount it, in a tmpfs at `target`."""
    linux.mount("tmpfs", target, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC, "mode=700")
    staging = -1
    try:
        staging = _directory(target)
        lowers = [_stage(lower, str(number), staging, how) for number, lower in enumerate(stack.lowers)]
        if stack.upper is not None and stack.work is not None:
            os.symlink(os.path.abspath(stack.upper), "u", dir_fd=staging)
            os.symlink(os.path.abspath(stack.work), "w", dir_fd=staging)
        overlay = _overlay_appended if how.probe.lowers == "appended" else _overlay_joined
        return overlay(stack, lowers, staging)
    finally:
        if staging >= 0:
            os.close(staging)
        linux.umount2(target, linux.MNT_DETACH)


def _stage(lower: Lower, name: str, staging: int, how: _How) -> str:
    """Give `lower` the short `name` in the staging directory, which any number of options has room for."""
    if isinstance(lower, Directory) and how.users is None:
        os.symlink(os.path.abspath(lower.path), name, dir_fd=staging)
        return name
    os.mkdir(name, dir_fd=staging)
    tree = _lower(lower, how)
    try:
        linux.move_mount(tree, "", staging, name, linux.MOVE_MOUNT_F_EMPTY_PATH)
    finally:
        os.close(tree)
    return name


def _overlay_appended(stack: MountStack, lowers: Sequence[str], staging: int) -> int:
    context = linux.fsopen("overlay")
    try:
        for name in lowers:
            linux.fsconfig_set_string(context, "lowerdir+", f"/proc/self/fd/{staging}/{name}")
        if stack.upper is not None:
            linux.fsconfig_set_string(context, "upperdir", f"/proc/self/fd/{staging}/u")
            linux.fsconfig_set_string(context, "workdir", f"/proc/self/fd/{staging}/w")
        return _finish(context, stack)
    finally:
        os.close(context)


def _overlay_joined(stack: MountStack, lowers: Sequence[str], staging: int) -> int:
    """With mount(2), whose options share one page: only names relative to the staging directory fit."""
    options = [f"lowerdir={':'.join(lowers)}", *(f"{key}={value}" for key, value in _PLAIN_UPPER)]
    if stack.upper is not None:
        options += ["upperdir=u", "workdir=w"]
    if stack.userxattr:
        options.append("userxattr")
    if stack.is_volatile:
        options.append("volatile")
    os.mkdir("m", dir_fd=staging)
    linux.unshare(linux.CLONE_FS)
    before = os.open(".", os.O_PATH | os.O_CLOEXEC)
    try:
        os.fchdir(staging)
        linux.mount(
            "overlay", "m", "overlay", linux.MS_RDONLY if stack.is_read_only else 0, ",".join(options)
        )
        return linux.open_tree(linux.AT_FDCWD, "m", linux.OPEN_TREE_CLONE)
    finally:
        os.fchdir(before)
        os.close(before)
