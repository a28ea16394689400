"""A process spec → the runtime-spec's config.json, version 1.0.2: what runc and crun read."""

from __future__ import annotations

import json
import os
import stat

from layerstore.errors import MissingFeature
from layerstore.value import Value
from runner import device_nodes, kernel_mounts
from runner.bundle import mounts, seccomp_json
from runner.confinement import CONTAINER, HOST, OWN
from runner.limits import UNLIMITED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from layerstore.oci.document import Json
    from runner.confinement import Device
    from runner.identity import Identity
    from runner.limits import Limits, Throttle
    from runner.spec import Mount, Network, ProcessSpec

OCI_VERSION = "1.0.2"
ROOT = "rootfs"
FILE = "config.json"
_THROTTLES = {
    ("read", "bps"): "throttleReadBpsDevice",
    ("write", "bps"): "throttleWriteBpsDevice",
    ("read", "iops"): "throttleReadIOPSDevice",
    ("write", "iops"): "throttleWriteIOPSDevice",
}


class Bundled(Value):
    """What goes into a bundle: `mounts` are those of `spec` and of /etc's files; `who` is resolved in the image."""

    spec: ProcessSpec
    who: Identity
    mounts: tuple[Mount, ...]
    network: Network
    has_terminal: bool = False
    size: tuple[int, int] = (0, 0)
    """Rows and columns of the terminal, where they are known."""


def render(bundled: Bundled) -> bytes:
    """The file's bytes. Raises `MissingFeature` for what a bundle cannot say, ``OSError`` for a device that is gone."""
    spec, confinement = bundled.spec, bundled.spec.confinement
    if spec.has_init:
        raise MissingFeature(
            "cannot write a bundle with an init: there is none in it", hint="leave out --init"
        )
    if confinement.id_range is not None:
        raise MissingFeature(
            "cannot write a bundle with other ids inside than outside", hint="leave out --userns remap"
        )
    document: dict[str, Json] = {
        "ociVersion": OCI_VERSION,
        "process": _process(bundled),
        "root": {"path": ROOT, "readonly": spec.is_read_only},
        "mounts": mounts.all_of(confinement, bundled.mounts),
        "linux": _linux(bundled),
    }
    if confinement.sharing.uts == OWN:
        document["hostname"] = spec.hostname
    return json.dumps(document, indent=2, ensure_ascii=True).encode() + b"\n"


def _process(bundled: Bundled) -> dict[str, Json]:
    spec, who = bundled.spec, bundled.who
    environment = spec.environment(home=who.home)
    process: dict[str, Json] = {
        "terminal": bundled.has_terminal,
        "user": {"uid": who.uid, "gid": who.gid, "additionalGids": list(who.groups)},
        "args": list(spec.args),
        "env": [f"{name}={value}" for name, value in environment.items()],
        "cwd": spec.cwd,
        "capabilities": _capabilities(spec.capabilities, is_root=who.uid == 0),
        "noNewPrivileges": spec.confinement.has_no_new_privileges,
    }
    if bundled.has_terminal and all(bundled.size):
        rows, columns = bundled.size
        process["consoleSize"] = {"height": rows, "width": columns}
    if spec.confinement.resource_limits:
        process["rlimits"] = [
            {"type": f"RLIMIT_{each.name}", "soft": _unsigned(each.soft), "hard": _unsigned(each.hard)}
            for each in spec.confinement.resource_limits
        ]
    if spec.confinement.oom_score_adj is not None:
        process["oomScoreAdj"] = spec.confinement.oom_score_adj
    return process


def _capabilities(kept: frozenset[str], *, is_root: bool) -> dict[str, Json]:
    """As our launcher leaves them: another user than root has none, and only the bound."""
    everything: list[Json] = [*sorted(kept)]
    held: list[Json] = [*everything] if is_root else []
    return {"bounding": everything, "effective": held, "permitted": [*held], "inheritable": [], "ambient": []}


def _unsigned(number: int) -> int:
    return number if number >= 0 else 2**64 - 1


def _linux(bundled: Bundled) -> dict[str, Json]:
    spec, confinement = bundled.spec, bundled.spec.confinement
    masks = confinement.masks_paths
    linux: dict[str, Json] = {
        "namespaces": _namespaces(bundled),
        "maskedPaths": [*_paths(), *_paths_of_sys()] if masks else [],
        "readonlyPaths": [f"/proc/{name}" for name in kernel_mounts.READ_ONLY_IN_PROC] if masks else [],
        "sysctl": dict(confinement.sysctls),
        "resources": _resources(spec.limits, confinement.devices, has_all=confinement.is_privileged),
        "devices": [node for device in confinement.devices for node in _nodes(device)],
    }
    if spec.limits.parent:
        linux["cgroupsPath"] = f"{spec.limits.parent.rstrip('/')}/lstore-{os.urandom(4).hex()}"
    filter_ = seccomp_json.filter_of(confinement, spec.capabilities)
    if filter_ is not None:
        linux["seccomp"] = filter_
    if any(mount.propagation != "private" for mount in bundled.mounts):
        linux["rootfsPropagation"] = "shared"
    return linux


def _paths() -> list[Json]:
    return [f"/proc/{name}" for name in kernel_mounts.MASKED_IN_PROC]


def _paths_of_sys() -> list[Json]:
    return [f"/sys/{name}" for name in kernel_mounts.MASKED_IN_SYS]


def _namespaces(bundled: Bundled) -> list[Json]:
    """Without a type, the runtime's own namespace is used."""
    sharing = bundled.spec.confinement.sharing
    chosen = {"pid": sharing.pid, "ipc": sharing.ipc, "uts": sharing.uts, "cgroup": sharing.cgroup}
    chosen["network"] = OWN if bundled.network == "none" else bundled.network
    if any(value.startswith(CONTAINER) for value in chosen.values()):
        raise MissingFeature("cannot write a bundle that shares another container's namespaces")
    return [{"type": "mount"}, *({"type": kind} for kind, value in chosen.items() if value != HOST)]


def _nodes(device: Device) -> list[Json]:
    return [
        {
            "path": target,
            "type": mounts.device_kind(found.st_mode),
            "major": os.major(found.st_rdev),
            "minor": os.minor(found.st_rdev),
            "fileMode": stat.S_IMODE(found.st_mode),
            "uid": found.st_uid,
            "gid": found.st_gid,
        }
        for _, target, found in device_nodes.expand(device)
    ]


def _resources(limits: Limits, devices: tuple[Device, ...], *, has_all: bool) -> dict[str, Json]:
    rules: list[Json] = [{"allow": has_all, "access": "rwm"}]
    for device in devices:
        for _, _, found in device_nodes.expand(device):
            major, minor = os.major(found.st_rdev), os.minor(found.st_rdev)
            rule: dict[str, Json] = {
                "allow": True,
                "access": device.permissions,
                "major": major,
                "minor": minor,
            }
            rules.append({**rule, "type": mounts.device_kind(found.st_mode)})
    resources: dict[str, Json] = {"devices": rules}
    parts = {"memory": _memory(limits), "cpu": _processors(limits), "blockIO": _block(limits)}
    resources |= {name: part for name, part in parts.items() if part}
    if limits.pids is not None:
        resources["pids"] = {"limit": limits.pids if limits.pids > 0 else UNLIMITED}
    return resources


def _memory(limits: Limits) -> dict[str, Json]:
    numbers = {"limit": limits.memory, "swap": limits.swap_total, "reservation": limits.memory_reservation}
    return {name: number for name, number in numbers.items() if number is not None}


def _processors(limits: Limits) -> dict[str, Json]:
    found: dict[str, Json] = {}
    if limits.bandwidth is not None:
        found["quota"], found["period"] = limits.bandwidth
    if limits.cpu_shares is not None:
        found["shares"] = limits.cpu_shares
    if limits.cpuset_cpus:
        found["cpus"] = limits.cpuset_cpus
    if limits.cpuset_mems:
        found["mems"] = limits.cpuset_mems
    return found


def _block(limits: Limits) -> dict[str, Json]:
    found: dict[str, list[Json]] = {}
    for each in limits.throttles:
        found.setdefault(_THROTTLES[each.direction, each.unit], []).append(_throttle(each))
    weight: dict[str, Json] = {} if limits.blkio_weight is None else {"weight": limits.blkio_weight}
    return {**weight, **found}


def _throttle(limit: Throttle) -> dict[str, Json]:
    return {"major": limit.major, "minor": limit.minor, "rate": limit.rate}
