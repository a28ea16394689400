"""/proc, /sys and /sys/fs/cgroup: the kernel's own file systems, with what concerns the host hidden or read-only.

Paths below /proc and /sys are looked up in the mount that was just made, through its descriptor, without
links: whatever the image has at these names plays no part (CVE-2025-31133, CVE-2025-52881).
"""

from __future__ import annotations

import errno
import os
import stat

from layerstore import linux
from runner.attachment import NO_PRIVILEGE, attach_at, bind, clone, new_mount
from runner.devices import EMPTY
from runner.failure import Doing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runner.confinement import Confinement
    from runner.devices import Nodes

# github.com/moby/moby oci/defaults.go
MASKED_IN_PROC = (
    "acpi", "asound", "interrupts", "kcore", "keys", "latency_stats", "sched_debug", "scsi", "timer_list",
    "timer_stats",
)  # fmt: skip
MASKED_IN_SYS = ("firmware", "devices/virtual/powercap")
READ_ONLY_IN_PROC = ("bus", "fs", "irq", "sys", "sysrq-trigger")

_EXACTLY = linux.RESOLVE_BENEATH | linux.RESOLVE_NO_SYMLINKS


def mount_proc(point: int, nodes: Nodes, *, of_host: bool, is_masked: bool) -> None:
    """Mount this process's own pid namespace's /proc over `point`; `of_host` that of the host, which it shares.

    A user namespace that does not own the pid namespace cannot mount it anew. Raises `LaunchError`.
    """
    with Doing("mount /proc"):
        proc = clone(linux.AT_FDCWD, "/proc", NO_PRIVILEGE) if of_host else new_mount("proc", NO_PRIVILEGE)
        attach_at(proc, point)
        for path in READ_ONLY_IN_PROC if is_masked else ():
            _make_read_only(proc, path)
        for path in MASKED_IN_PROC if is_masked else ():
            _mask(proc, path, nodes)
        os.close(proc)


def mount_sys(point: int, nodes: Nodes, confinement: Confinement, *, of_host: bool, cgroups: str) -> None:
    """Mount /sys over `point`, and below it the container's view of its control groups.

    Both are read-only (CVE-2023-25809) but for a privileged container.

    `of_host` shows the host's /sys, its control groups included, as a user namespace must that does not own
    its network namespace (sysfs(5) shows that one's devices). `cgroups` is the text of /proc/self/cgroup.
    Raises `LaunchError`.
    """
    with Doing("mount /sys"):
        read_only = 0 if confinement.is_privileged else linux.MOUNT_ATTR_RDONLY
        attributes = NO_PRIVILEGE | read_only
        sys = clone(linux.AT_FDCWD, "/sys", attributes) if of_host else new_mount("sysfs", attributes)
        attach_at(sys, point)
        for path in MASKED_IN_SYS if confinement.masks_paths else ():
            _mask(sys, path, nodes)
        groups = None if of_host else _find(sys, "fs/cgroup")
        os.close(sys)
    if groups is not None:
        with Doing("mount /sys/fs/cgroup"):
            _mount_cgroups(groups, cgroups, attributes)
            os.close(groups)


def _find(mount: int, path: str) -> int | None:
    """A descriptor of `path` in `mount`, None where this kernel has no such file."""
    try:
        return linux.openat2(mount, path, os.O_PATH | os.O_NOFOLLOW, resolve=_EXACTLY)
    except FileNotFoundError:
        return None


def _mask(mount: int, path: str, nodes: Nodes) -> None:
    """Hide `path` under an empty directory or under /dev/null."""
    point = _find(mount, path)
    if point is None:
        return
    nodes.bind(EMPTY if stat.S_ISDIR(os.fstat(point).st_mode) else "null", point)
    os.close(point)


def _make_read_only(mount: int, path: str) -> None:
    point = _find(mount, path)
    if point is None:
        return
    bind(point, "", point, NO_PRIVILEGE | linux.MOUNT_ATTR_RDONLY)
    os.close(point)


def _mount_cgroups(point: int, cgroups: str, attributes: int) -> None:
    """cgroup2 over `point` or, where the host has version 1, a directory for each hierarchy.

    `attributes` are the mount's, not those of the shared superblock.
    """
    hierarchies = [line.split(":", 2)[1] for line in cgroups.splitlines() if line.count(":") >= 2]
    if not any(hierarchies):
        if hierarchies:
            _attach_cgroup(new_mount("cgroup2", attributes), point)
        return
    place = new_mount("tmpfs", NO_PRIVILEGE, (("mode", "755"), ("size", "64k")))
    attach_at(place, point)
    for controllers in hierarchies:
        _mount_hierarchy(place, controllers, attributes)
    linux.mount_setattr(place, "", linux.AT_EMPTY_PATH, attr_set=linux.MOUNT_ATTR_RDONLY)
    os.close(place)


def _mount_hierarchy(place: int, controllers: str, attributes: int) -> None:
    """One version 1 hierarchy in a directory of its own name, or, without controllers, version 2 in "unified"."""
    name = controllers.removeprefix("name=") or "unified"
    named = controllers.startswith("name=")
    flags: list[tuple[str, str | None]] = [(key, None) for key in controllers.split(",") if key]
    options = [("none", None), ("name", name)] if named else flags
    try:
        mount = new_mount("cgroup" if controllers else "cgroup2", attributes, options)
    except OSError as error:
        # In a cgroup namespace of its own nobody may bring up a hierarchy that is mounted nowhere.
        if error.errno in (errno.EPERM, errno.EBUSY):
            return
        raise
    os.mkdir(name, 0o755, dir_fd=place)
    directory = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=place)
    _attach_cgroup(mount, directory)
    os.close(directory)


def _attach_cgroup(mount: int, point: int) -> None:
    attach_at(mount, point)
    os.close(mount)
