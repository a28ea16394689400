"""A container's mounts as the runtime-spec's ``mounts`` (config.md, "Mounts")."""

from __future__ import annotations

import stat

from runner.confinement import HOST, OWN
from runner.spec import Mount

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from layerstore.oci.document import Json
    from runner.confinement import Confinement

_SAFE = ("nosuid", "noexec", "nodev")


def all_of(confinement: Confinement, asked: Iterable[Mount]) -> list[Json]:
    """The kernel's file systems and /dev as our launcher has them, then what was `asked` for, outer ones first."""
    read_only = () if confinement.is_privileged else ("ro",)
    mounts = [
        _mount("/proc", "proc", "proc", _SAFE),
        _mount("/dev", "tmpfs", "tmpfs", ("nosuid", "strictatime", "mode=755", "size=65536k")),
        _mount("/dev/pts", "devpts", "devpts", _terminals()),
        _mount("/dev/mqueue", "mqueue", "mqueue", _SAFE),
        _mount("/sys", "sysfs", "sysfs", (*_SAFE, *read_only)),
        _mount("/sys/fs/cgroup", "cgroup", "cgroup", (*_SAFE, "relatime", *read_only)),
        *_shared_memory(confinement),
    ]
    return [*mounts, *(_asked(mount) for mount in sorted(asked, key=lambda each: each.target.count("/")))]


def _terminals() -> tuple[str, ...]:
    return ("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5")


def _shared_memory(confinement: Confinement) -> list[Json]:
    if confinement.sharing.ipc == HOST:
        return [_mount("/dev/shm", "bind", "/dev/shm", ("rbind", *_SAFE))]  # noqa: S108 - the host's, on request
    if confinement.sharing.ipc == OWN:
        size = f"size={confinement.shm_size}"
        return [_mount("/dev/shm", "tmpfs", "shm", (*_SAFE, "mode=1777", size))]  # noqa: S108 - inside
    return []


def _asked(mount: Mount) -> dict[str, Json]:
    read_only = ("ro",) if mount.is_read_only else ()
    if mount.source is None:
        lifted = {"exec": "noexec", "suid": "nosuid"}
        flags = [flag for flag in _SAFE if flag not in {lifted[each] for each in mount.flags}]
        data = dict([("mode", "1777"), *mount.options])
        words = [name if value is None else f"{name}={value}" for name, value in data.items()]
        return _mount(mount.target, "tmpfs", "tmpfs", (*flags, *read_only, *words))
    bind = "rbind" if mount.is_recursive else "bind"
    return _mount(mount.target, "bind", mount.source, (bind, f"r{mount.propagation}", "nodev", *read_only))


def _mount(target: str, kind: str, source: str, options: Iterable[str]) -> dict[str, Json]:
    return {"destination": target, "type": kind, "source": source, "options": list(options)}


def device_kind(mode: int) -> str:
    """What the runtime-spec calls a device node of that mode."""
    return "b" if stat.S_ISBLK(mode) else "c"
