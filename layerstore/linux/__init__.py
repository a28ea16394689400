"""System calls: one thin function each, with the kernel's own names and constants.

The only user of ctypes (`foreign`). A failure is an ``OSError`` that carries the call's name and the path. Numbers are
those of x86-64 and arm64. Everything here is on the path that starts a process, so nothing imports
``dataclasses``, ``typing`` or ``socket`` at run time, and each part is loaded when it is first used: half of the
commands need none.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from layerstore.linux.bpf import *  # noqa: F403
    from layerstore.linux.files import *  # noqa: F403
    from layerstore.linux.inotify import *  # noqa: F403
    from layerstore.linux.loop import *  # noqa: F403
    from layerstore.linux.mounts import *  # noqa: F403
    from layerstore.linux.network import *  # noqa: F403
    from layerstore.linux.process import *  # noqa: F403
    from layerstore.linux.title import *  # noqa: F403

_PARTS = {
    "bpf": (
        "BPF_CGROUP_DEVICE",
        "BPF_F_ALLOW_MULTI",
        "BPF_PROG_TYPE_CGROUP_DEVICE",
        "bpf_prog_attach",
        "bpf_prog_load",
    ),
    "files": (
        "CLOSE_RANGE_CLOEXEC",
        "LAST_FD",
        "RESOLVE_BENEATH",
        "RESOLVE_IN_ROOT",
        "RESOLVE_NO_MAGICLINKS",
        "RESOLVE_NO_SYMLINKS",
        "SYNC_FILE_RANGE_WRITE",
        "close_range",
        "openat2",
        "sync_file_range",
        "syncfs",
    ),
    "inotify": (
        "IN_CREATE",
        "IN_DELETE_SELF",
        "IN_MODIFY",
        "IN_MOVED_TO",
        "inotify_add_watch",
        "inotify_init",
    ),
    "loop": (
        "LO_FLAGS_AUTOCLEAR",
        "LO_FLAGS_READ_ONLY",
        "LOOP_CONFIGURE",
        "LOOP_CONTROL",
        "LOOP_CTL_GET_FREE",
        "loop_configure",
        "loop_ctl_get_free",
    ),
    "mounts": (
        "AT_EMPTY_PATH",
        "AT_FDCWD",
        "AT_RECURSIVE",
        "FSCONFIG_CMD_CREATE",
        "FSCONFIG_SET_FD",
        "FSCONFIG_SET_FLAG",
        "FSCONFIG_SET_STRING",
        "FSMOUNT_CLOEXEC",
        "FSOPEN_CLOEXEC",
        "MNT_DETACH",
        "MOUNT_ATTR_IDMAP",
        "MOUNT_ATTR_NODEV",
        "MOUNT_ATTR_NOEXEC",
        "MOUNT_ATTR_NOSUID",
        "MOUNT_ATTR_RDONLY",
        "MOVE_MOUNT_F_EMPTY_PATH",
        "MOVE_MOUNT_T_EMPTY_PATH",
        "MS_NODEV",
        "MS_NOEXEC",
        "MS_NOSUID",
        "MS_PRIVATE",
        "MS_RDONLY",
        "MS_REC",
        "MS_SLAVE",
        "OPEN_TREE_CLOEXEC",
        "OPEN_TREE_CLONE",
        "UMOUNT_NOFOLLOW",
        "fsconfig_create",
        "fsconfig_set_fd",
        "fsconfig_set_flag",
        "fsconfig_set_string",
        "fsmount",
        "fsopen",
        "mount",
        "mount_setattr",
        "move_mount",
        "open_tree",
        "pivot_root",
        "umount2",
    ),
    "network": (
        "AF_INET",
        "IFF_UP",
        "SIOCGIFFLAGS",
        "SIOCSIFFLAGS",
        "SOCK_CLOEXEC",
        "SOCK_DGRAM",
        "siocgifflags",
        "siocsifflags",
        "socket",
    ),
    "process": (
        "CLONE_FS",
        "CLONE_INTO_CGROUP",
        "CLONE_NEWCGROUP",
        "CLONE_NEWIPC",
        "CLONE_NEWNET",
        "CLONE_NEWNS",
        "CLONE_NEWPID",
        "CLONE_NEWUSER",
        "CLONE_NEWUTS",
        "CLONE_PARENT",
        "CLONE_PIDFD",
        "PR_CAP_AMBIENT",
        "PR_CAP_AMBIENT_CLEAR_ALL",
        "PR_CAPBSET_DROP",
        "PR_SET_DUMPABLE",
        "PR_SET_NO_NEW_PRIVS",
        "PR_SET_PDEATHSIG",
        "SECCOMP_SET_MODE_FILTER",
        "capget",
        "capset",
        "clone3",
        "pidfd_send_signal",
        "prctl",
        "seccomp_set_mode_filter",
        "set_default_action",
        "sethostname",
        "setns",
        "unshare",
    ),
    "title": ("set_title",),
}
_HOMES = {name: part for part, names in _PARTS.items() for name in names}


def __getattr__(name: str) -> object:
    """Load the part that `name` is in: PEP 562."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _load(_HOMES[name])[name]


def load_all() -> None:
    """Load every part, for a process that is to import nothing later, since it will see files of others."""
    for part in _PARTS:
        _load(part)


def _load(part: str) -> dict[str, object]:
    module = __import__(f"{__name__}.{part}", fromlist=("",))
    found = {name: getattr(module, name) for name in _PARTS[part]}
    globals().update(found)
    return found
