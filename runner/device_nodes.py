"""Devices that were asked for, and all of the host's for a privileged container."""

from __future__ import annotations

import os
import stat

from layerstore import linux
from layerstore.errors import LaunchError
from runner.attachment import bind
from runner.failure import Doing
from runner.inside import make_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from runner.confinement import Device
    from runner.devices import Nodes

# What the container has of its own.
_OWN = frozenset({"pts", "shm", "mqueue", "fd", "stdin", "stdout", "stderr", "core", "ptmx", "console"})
_ATTRIBUTES = linux.MOUNT_ATTR_NOSUID | linux.MOUNT_ATTR_NOEXEC
_MAX_DEVICES = 4096


def add(root: int, nodes: Nodes, devices: Sequence[Device]) -> None:
    """Show `devices` inside `root`. A directory stands for all nodes below it. Raises `LaunchError`.

    Root's are fresh nodes with mode and owner of the host's, and bound, since no mount of a container lets
    nodes work that lie on it (docs/adr/0004).
    """
    for device in devices:
        with Doing(f"add the device {device.source}"):
            for source, target, found in expand(device):
                point = make_file(root, target)
                if nodes.of_host:
                    bind(linux.AT_FDCWD, source, point, _ATTRIBUTES)
                else:
                    _bind_fresh(nodes, found, point)
                os.close(point)


def expand(device: Device) -> Iterator[tuple[str, str, os.stat_result]]:
    """(source, target, status) of each node that `device` means. Raises ``OSError``, `LaunchError`."""
    status = os.stat(device.source)
    if _is_device(status):
        yield device.source, device.target, status
        return
    if not stat.S_ISDIR(status.st_mode):
        raise LaunchError(f"cannot add the device {device.source}: it is no device")
    for directory, _, names in os.walk(device.source):
        for name in sorted(names):
            source = f"{directory}/{name}"
            found = os.lstat(source)
            if _is_device(found):
                yield source, f"{device.target}{source.removeprefix(device.source)}", found


def _is_device(status: os.stat_result) -> bool:
    return stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode)


def _bind_fresh(nodes: Nodes, found: os.stat_result, point: int) -> None:
    name = f"{'b' if stat.S_ISBLK(found.st_mode) else 'c'}{found.st_rdev}"
    if not _has(nodes.directory, name):
        _make(nodes.directory, name, found)
    bind(nodes.directory, name, point, _ATTRIBUTES)


def _has(directory: int, name: str) -> bool:
    try:
        os.lstat(name, dir_fd=directory)
    except FileNotFoundError:
        return False
    return True


def _make(directory: int, name: str, like: os.stat_result) -> None:
    os.mknod(name, like.st_mode, like.st_rdev, dir_fd=directory)
    os.chown(name, like.st_uid, like.st_gid, dir_fd=directory, follow_symlinks=False)


def copy_all(dev: int) -> None:
    """Make every device node of the host's /dev in the directory `dev`, but for what a container has itself."""
    count = 0
    for directory, below, names in os.walk("/dev"):
        inside = directory.removeprefix("/dev").lstrip("/")
        if not inside:
            below[:] = [name for name in below if name not in _OWN]
            names = [name for name in names if name not in _OWN]
        for name in names:
            found = os.lstat(f"{directory}/{name}")
            if not _is_device(found) or count >= _MAX_DEVICES:
                continue
            count += 1
            _copy(dev, inside, name, found)


def _copy(dev: int, inside: str, name: str, found: os.stat_result) -> None:
    parts = [part for part in inside.split("/") if part]
    for depth in range(len(parts)):
        try:
            os.mkdir("/".join(parts[: depth + 1]), 0o755, dir_fd=dev)
        except FileExistsError:
            continue
    try:
        _make(dev, "/".join((*parts, name)), found)
    except FileExistsError:
        return
