"""/dev: a tmpfs with the nodes that programs cannot do without, a devpts, shm and mqueue of its own.

The tmpfs forbids device nodes, as every other mount of a container does. A node is usable only where one of
ours is bound, so CAP_MKNOD inside gives nothing (docker's default set has it), even where no device
controller stands behind it. Root's nodes are made fresh, in a tmpfs that no path inside leads to: changing
the mode of /dev/null inside changes nothing outside.
"""

from __future__ import annotations

import errno
import os
import stat

from layerstore import linux
from runner.attachment import NO_PRIVILEGE, attach_at, bind, new_mount
from runner.confinement import HOST, OWN
from runner.device_nodes import copy_all
from runner.failure import Doing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runner.confinement import Confinement
    from runner.namespaces import IdMap

# Linux Documentation/admin-guide/devices.txt, and what the runtime-spec asks for.
_NODES = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0)}
_LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "core": "/proc/kcore",
    "ptmx": "pts/ptmx",
}
_TTY_GROUP = 5
_QUEUES = "/dev/mqueue"
EMPTY = "empty"


class Nodes:
    """Where mounts are cloned from: the nodes, and an empty directory to hide others under."""

    __slots__ = ("directory", "of_host")

    def __init__(self, directory: int, *, of_host: bool) -> None:
        self.directory = directory
        self.of_host = of_host

    def bind(self, name: str, point: int) -> None:
        """Bind node `name` over `point`, or the read-only directory `EMPTY`. Raises ``OSError``."""
        attributes = linux.MOUNT_ATTR_NOSUID | linux.MOUNT_ATTR_NOEXEC
        if name == EMPTY:
            bind(self.directory, EMPTY, point, NO_PRIVILEGE | linux.MOUNT_ATTR_RDONLY)
        elif self.of_host:
            _require_node(f"/dev/{name}", _NODES[name])
            bind(linux.AT_FDCWD, f"/dev/{name}", point, attributes)
        else:
            bind(self.directory, name, point, attributes)


def make_nodes(place: str, *, of_host: bool) -> Nodes:
    """The nodes, in a tmpfs at the directory `place` of a mount namespace whose root the container leaves.

    The umask must be 0. With `of_host`, which a user namespace needs (mknod(2) is not for it), the host's own are used.
    """
    with Doing("make the device nodes"):
        attributes = linux.MOUNT_ATTR_NOSUID | linux.MOUNT_ATTR_NOEXEC
        directory = new_mount("tmpfs", attributes, (("mode", "755"), ("size", "64k")))
        linux.move_mount(directory, "", linux.AT_FDCWD, place, linux.MOVE_MOUNT_F_EMPTY_PATH)
        os.mkdir(EMPTY, 0o755, dir_fd=directory)
        for name, (major, minor) in () if of_host else _NODES.items():
            os.mknod(name, stat.S_IFCHR | 0o666, os.makedev(major, minor), dir_fd=directory)
    return Nodes(directory, of_host=of_host)


def _require_node(path: str, numbers: tuple[int, int]) -> None:
    found = os.stat(path, follow_symlinks=False)
    if not stat.S_ISCHR(found.st_mode) or found.st_rdev != os.makedev(*numbers):
        raise OSError(errno.ENODEV, f"{path} is not the device that it should be")


def populate(point: int, nodes: Nodes, id_map: IdMap | None, confinement: Confinement) -> None:
    """Mount /dev over the directory `point` and fill it. `id_map` is None for root. Raises `LaunchError`."""
    has_all = confinement.is_privileged and not nodes.of_host
    with Doing("set up /dev"):
        attributes = NO_PRIVILEGE & ~linux.MOUNT_ATTR_NOEXEC
        if has_all:
            attributes &= ~linux.MOUNT_ATTR_NODEV
        dev = new_mount("tmpfs", attributes, (("mode", "755"), ("size", "64m")))
        attach_at(dev, point)
        for name in _NODES:
            nodes.bind(name, _new_file(dev, name))
        for name, target in _LINKS.items():
            os.symlink(target, name, dir_fd=dev)
        _mount_below(dev, "pts", "devpts", NO_PRIVILEGE & ~linux.MOUNT_ATTR_NODEV, _devpts_options(id_map))
        if confinement.sharing.ipc == OWN:
            size = str(confinement.shm_size)
            _mount_below(dev, "shm", "tmpfs", NO_PRIVILEGE, (("mode", "1777"), ("size", size)))
        if confinement.sharing.ipc == HOST and id_map is not None:
            _lend_queues(dev)
        else:
            _mount_below(dev, "mqueue", "mqueue", NO_PRIVILEGE, ())
        if has_all:
            copy_all(dev)
        os.close(dev)


def _lend_queues(dev: int) -> None:
    """The host's queues, if it has any: a user namespace cannot mount what is another one's."""
    if not os.path.isdir(_QUEUES):
        return
    os.mkdir("mqueue", 0o755, dir_fd=dev)
    point = os.open("mqueue", os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=dev)
    bind(linux.AT_FDCWD, _QUEUES, point, NO_PRIVILEGE)
    os.close(point)


def _devpts_options(id_map: IdMap | None) -> tuple[tuple[str, str | None], ...]:
    options = (("newinstance", None), ("ptmxmode", "0666"), ("mode", "0620"))
    has_tty_group = id_map is None or not id_map.is_single
    return (*options, ("gid", str(_TTY_GROUP))) if has_tty_group else options


def _new_file(directory: int, name: str) -> int:
    return os.open(name, os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666, dir_fd=directory)


def _mount_below(
    dev: int, name: str, fsname: str, attributes: int, options: tuple[tuple[str, str | None], ...]
) -> None:
    os.mkdir(name, 0o755, dir_fd=dev)
    point = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=dev)
    mount = new_mount(fsname, attributes, options)
    attach_at(mount, point)
    os.close(mount)
    os.close(point)
