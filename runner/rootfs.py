"""The root filesystem as the process sees it: the stack, the kernel's file systems, /dev, and what is bound.

Runs in the container's own mount namespace, before pivot_root(2). Every mount point is found or made inside
the root by descriptor (`runner.inside`), so that links in the image redirect nothing. No mount but /dev's
nodes and terminals lets device nodes work.
"""

from __future__ import annotations

import os
import stat

from layerstore import linux
from layerstore.errors import LaunchError
from runner import device_nodes, devices, kernel_mounts
from runner.attachment import NO_PRIVILEGE, attach_at, clone, new_mount, require_shared
from runner.confinement import HOST
from runner.failure import Doing
from runner.inside import locate, make_directory, make_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runner.confinement import Confinement
    from runner.namespaces import IdMap
    from runner.spec import Mount

# Over these only the launcher mounts: a foreign /proc could answer whatever the image likes.
_RESERVED = frozenset({"proc", "sys"})
_PROPAGATION = {"private": linux.MS_PRIVATE, "slave": linux.MS_SLAVE, "shared": 0}
_LIFTED = {"exec": linux.MOUNT_ATTR_NOEXEC, "suid": linux.MOUNT_ATTR_NOSUID}


def open_root(target: str, *, has_devices: bool = False) -> int:
    """An O_PATH descriptor of the mounted root at `target`, where device nodes work only with `has_devices`."""
    with Doing("open the root filesystem"):
        root = os.open(target, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        if not has_devices:
            linux.mount_setattr(root, "", linux.AT_EMPTY_PATH, attr_set=linux.MOUNT_ATTR_NODEV)
    return root


def build(
    root: int,
    place: str,
    id_map: IdMap | None,
    confinement: Confinement,
    *,
    owns_network: bool,
    cgroups: str,
) -> None:
    """Mount /proc, /sys and /dev into `root`, with the devices that were asked for. Raises `LaunchError`.

    `place` is an empty directory of the host side, used while building. `id_map` is None for root.
    """
    is_rootless = id_map is not None
    nodes = devices.make_nodes(place, of_host=is_rootless)
    with Doing("make the mount points of /proc, /sys and /dev"):
        points = [make_directory(root, path) for path in ("proc", "sys", "dev")]
    proc, sys, dev = points
    of_host = is_rootless and not owns_network
    shares_processes = is_rootless and confinement.sharing.pid == HOST
    kernel_mounts.mount_proc(proc, nodes, of_host=shares_processes, is_masked=confinement.masks_paths)
    kernel_mounts.mount_sys(sys, nodes, confinement, of_host=of_host, cgroups=cgroups)
    devices.populate(dev, nodes, id_map, confinement)
    device_nodes.add(root, nodes, confinement.devices)
    for fd in (*points, nodes.directory):
        os.close(fd)


def open_sources(mounts: Sequence[Mount]) -> dict[Mount, int]:
    """Detached copies of what is to be bound, as it is now: whatever later takes that path is not followed.

    To be called before the mounts are made private, since a copy is a peer of its source only until then.
    Raises `LaunchError`.
    """
    trees = {}
    for mount in mounts:
        if mount.source is not None:
            with Doing(f"mount {mount.source} at {mount.target}"):
                trees[mount] = _open_source(mount, mount.source)
    return trees


def _open_source(mount: Mount, source: str) -> int:
    if mount.propagation == "shared":
        require_shared(source)
    read_only = linux.MOUNT_ATTR_RDONLY if mount.is_read_only else 0
    found = os.open(source, os.O_PATH | os.O_CLOEXEC)
    try:
        return clone(
            found,
            "",
            linux.MOUNT_ATTR_NODEV | read_only,
            is_recursive=mount.is_recursive,
            propagation=_PROPAGATION[mount.propagation],
        )
    finally:
        os.close(found)


def mount_all(root: int, mounts: Sequence[Mount], sources: Mapping[Mount, int]) -> None:
    """Carry out `mounts` inside `root`, outer ones first; of two at one place the last. Raises `LaunchError`.

    `sources` is what `open_sources` gave for them; its descriptors are closed.
    """
    chosen = {tuple(part for part in mount.target.split("/") if part): mount for mount in mounts}
    for parts in sorted(chosen, key=len):
        mount = chosen[parts]
        with Doing(f"mount {mount.source or 'a tmpfs'} at {mount.target}"):
            if not _RESERVED.isdisjoint(locate(root, mount.target)[:1]):
                raise LaunchError(f"cannot mount at {mount.target}: /proc and /sys are the kernel's")
            _mount(root, mount, sources.get(mount))
    for tree in sources.values():
        os.close(tree)


def _mount(root: int, mount: Mount, tree: int | None) -> None:
    if tree is None:
        point = make_directory(root, mount.target)
        attributes = NO_PRIVILEGE | (linux.MOUNT_ATTR_RDONLY if mount.is_read_only else 0)
        for flag in mount.flags:
            attributes &= ~_LIFTED[flag]
        tmpfs = new_mount("tmpfs", attributes, dict([("mode", "1777"), *mount.options]).items())
        attach_at(tmpfs, point)
        os.close(tmpfs)
    else:
        is_directory = stat.S_ISDIR(os.fstat(tree).st_mode)
        point = (make_directory if is_directory else make_file)(root, mount.target)
        attach_at(tree, point)
    os.close(point)


def attach_shm(root: int, tree: int) -> None:
    """Attach the detached mount `tree` at /dev/shm inside `root`, and close it. Raises `LaunchError`.

    The host's may let device nodes and programs work: not here.
    """
    with Doing("mount /dev/shm"):
        safe = linux.MOUNT_ATTR_NOSUID | linux.MOUNT_ATTR_NODEV | linux.MOUNT_ATTR_NOEXEC
        linux.mount_setattr(tree, "", linux.AT_EMPTY_PATH, attr_set=safe)
        point = make_directory(root, "dev/shm")
        attach_at(tree, point)
        os.close(tree)
        os.close(point)


def enter(root: int) -> None:
    """Make `root` the root of this mount namespace, and the old one unreachable. Raises `LaunchError`."""
    with Doing("change to the container's root"):
        os.fchdir(root)
        linux.pivot_root(".", ".")
        # pivot_root(2): both are stacked at "/" now, the old one on top.
        linux.umount2(".", linux.MNT_DETACH)


def make_read_only(root: int) -> None:
    """Forbid writing to the root itself; mounts on it keep their own rules."""
    with Doing("make the root filesystem read-only"):
        linux.mount_setattr(root, "", linux.AT_EMPTY_PATH, attr_set=linux.MOUNT_ATTR_RDONLY)


def enter_directory(cwd: int, path: str) -> None:
    """Change to the directory `cwd`, found as `path`, and see that it is inside (CVE-2024-21626)."""
    with Doing(f"change to the working directory {path}"):
        os.fchdir(cwd)
        os.close(cwd)
        # getcwd(2) cannot name a directory that is not below this process's root.
        if not os.getcwd().startswith("/"):
            raise LaunchError(f"cannot change to the working directory {path}: it is outside the container")
