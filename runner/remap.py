"""Root's containers with ids of their own: uid 0 inside is nobody of the host's. ``--userns remap``.

user_namespaces(7). The image's files keep the owners that they have on disk: the layers are mounted id-mapped, so
nothing of them is chowned. What the container writes has its own ids on disk, since overlayfs makes its work files
as the host's root, whom a mapped upper directory would not know. Only root of the host can mount them so, before the
container's first process is born; that process gets the mount as a descriptor, attached nowhere.
"""

from __future__ import annotations

import os

from layerstore import linux
from layerstore.linux import signals
from runner import namespaces
from runner.channel import Channel
from runner.failure import Doing
from runner.namespaces import Extent, IdMap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from layerstore.mount import MountStack
    from runner.confinement import Confinement
    from runner.launch import Surroundings


def id_map(confinement: Confinement) -> IdMap | None:
    """The ids that root gives the container; None for the host's own."""
    if confinement.id_range is None:
        return None
    uid, gid, count = confinement.id_range
    return IdMap((Extent(0, uid, count),), (Extent(0, gid, count),))


def mount(stack: MountStack, ids: IdMap, around: Surroundings, target: str) -> int:
    """`stack` with its owners mapped by `ids`: the descriptor of a mount that is attached nowhere.

    `target` is a directory that is mounted at for a moment, in a mount namespace of our own. The caller has one
    thread. Raises `LaunchError`, `MissingFeature`.
    """
    with Doing("map the ids of the image's files"):
        if stack.upper is not None:
            _give(stack.upper, ids)
        user_namespace = _user_namespace(ids)
        own = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        cwd = os.open(".", os.O_PATH | os.O_CLOEXEC)
        try:
            linux.unshare(linux.CLONE_NEWNS)
            try:
                linux.mount(None, "/", None, linux.MS_REC | linux.MS_PRIVATE)
                around.attach(stack, target, users=user_namespace)
                return linux.open_tree(linux.AT_FDCWD, target, linux.OPEN_TREE_CLONE)
            finally:
                linux.setns(own, linux.CLONE_NEWNS)
                os.fchdir(cwd)
        finally:
            for fd in (user_namespace, own, cwd):
                os.close(fd)


def attach(ids: IdMap, attach: Callable[..., None], stack: MountStack, target: str) -> None:
    """`attach` `stack` at `target`, with the owners of its layers' files mapped by `ids`. In a mount namespace of
    the caller's own. Raises ``OSError``, and what `attach` does."""
    if stack.upper is not None:
        _give(stack.upper, ids)
    users = _user_namespace(ids)
    try:
        attach(stack, target, users=users)
    finally:
        os.close(users)


def show_inside(directory: str, ids: IdMap, target: str) -> None:
    """Attach `directory`, which a container with `ids` wrote, read-only at `target`, with the owners seen inside.

    In a mount namespace of the caller's own. Raises ``OSError``.
    """
    users = _user_namespace(IdMap(tuple(map(_turned, ids.uids)), tuple(map(_turned, ids.gids))))
    tree = linux.open_tree(linux.AT_FDCWD, directory, linux.OPEN_TREE_CLONE)
    try:
        attributes = linux.MOUNT_ATTR_RDONLY | linux.MOUNT_ATTR_IDMAP
        linux.mount_setattr(tree, "", linux.AT_EMPTY_PATH, attr_set=attributes, userns_fd=users)
        linux.move_mount(tree, "", linux.AT_FDCWD, target, linux.MOVE_MOUNT_F_EMPTY_PATH)
    finally:
        os.close(tree)
        os.close(users)


def _turned(extent: Extent) -> Extent:
    return Extent(extent.outside, extent.inside, extent.count)


def call_as_root_inside(ids: IdMap, work: Callable[[int], None], root: int) -> None:
    """Call `work` on `root` as the root of a user namespace with `ids`, which this process never leaves again."""
    with Doing("take the container's ids"):
        users = _user_namespace(ids)
        linux.setns(users, linux.CLONE_NEWUSER)
        os.close(users)
    become_root_inside()
    work(root)


def _give(directory: str, ids: IdMap) -> None:
    """Let the empty upper directory's owner be the one inside, once."""
    status = os.lstat(directory)
    uids, gids = ids.uids[0], ids.gids[0]
    if status.st_uid < uids.outside:
        owner, group = uids.outside + status.st_uid, gids.outside + status.st_gid
        os.chown(directory, owner, group, follow_symlinks=False)


def _user_namespace(ids: IdMap) -> int:
    """The descriptor of a user namespace with `ids`, which a process is born for and ends with."""
    channel = Channel()
    pid, pidfd = linux.clone3(linux.CLONE_NEWUSER)
    if pid == 0:
        channel.keep_child_side()
        channel.wait()
        os._exit(0)
    try:
        channel.keep_launcher_side()
        namespaces.map_ids(pid, ids)
        return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        linux.pidfd_send_signal(pidfd, signals.SIGKILL)
        os.waitpid(pid, 0)
        os.close(pidfd)
        channel.close()


def become_root_inside() -> None:
    """Take the ids of root inside: until now this process is one that its user namespace does not know."""
    with Doing("become root inside"):
        os.setgroups(())
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
        linux.prctl(linux.PR_SET_PDEATHSIG, signals.SIGKILL)  # a change of ids forgets it
        linux.prctl(linux.PR_SET_DUMPABLE, 0)
