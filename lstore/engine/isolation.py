"""Docker's options for isolation and limits → what the launcher takes: `runner.confinement` and `runner.limits`.

Words in, values out; nothing but the devices and files that they name is looked at.
"""

from __future__ import annotations

import os
import stat

from layerstore.errors import MissingFeature, UsageError, file_error
from layerstore.value import Value
from lstore.engine.mount_options import parse_mount, parse_tmpfs, parse_volume
from runner.capabilities import DEFAULT, NAMES
from runner.confinement import (
    CONTAINER,
    DEFAULT_SHM_SIZE,
    HOST,
    OWN,
    UNCONFINED,
    Confinement,
    Device,
    ResourceLimit,
    Sharing,
)
from runner.limits import Limits, Throttle
from runner.spec import Mount, Names, ProcessSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from runner.limits import Direction, Unit
    from runner.namespaces import Extent

_ALL = "ALL"
_PRIVATE = ("", "private")
_REMAP = "remap"
_OWNER = "lstore"  # whose subordinate ids root's containers have
_MAX_FILE = 1 << 20
_MODULES_OF_OTHERS = ("apparmor", "label")
_MAX_NAME = 253  # RFC 1035, of a host


class IsolationRequest(Value):
    """The words of ``run`` and ``create``, as they were given; `limits` are numbers already."""

    limits: Limits = Limits()
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    is_privileged: bool = False
    security: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    ulimits: tuple[str, ...] = ()
    sysctls: tuple[str, ...] = ()
    oom_score_adj: int | None = None
    shm_size: int | None = None
    tmpfs: tuple[str, ...] = ()
    mounts: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    pid: str = ""
    ipc: str = ""
    uts: str = ""
    cgroup: str = ""
    user: str = ""
    hosts: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    domainname: str = ""
    runtime: str = ""


class _Security(Value):
    """``--security-opt``; `seccomp` is "", `UNCONFINED` or the name of a profile's file."""

    seccomp: str
    has_no_new_privileges: bool
    shows_system_paths: bool


def isolated(
    spec: ProcessSpec, request: IsolationRequest, find: Callable[[str], str], *, network: str
) -> ProcessSpec:
    """`spec` as `request` wants it shut in. `find` gives the whole id of another container, by what people call it.

    Raises `UsageError` for words that mean nothing, `MissingFeature` for what this host cannot do.
    """
    if network != "none":
        _refuse_settings_of_network(request.sysctls)
    kept = frozenset(NAMES) if request.is_privileged else capabilities(request.cap_add, request.cap_drop)
    confinement = _confinement(request, kept, find)
    limits = request.limits
    if confinement.devices and not request.is_privileged:
        limits = _with_rules(limits, confinement.devices)
    fields = {
        **vars(spec),
        "limits": limits,
        "capabilities": kept,
        "confinement": confinement,
        "groups": request.groups,
        "names": _names(request),
        "mounts": (*spec.mounts, *_mounts(request)),
        "runtime": request.runtime,
    }
    return ProcessSpec(**fields)


def _with_rules(limits: Limits, devices: tuple[Device, ...]) -> Limits:
    """`limits` that let the container use `devices` as far as they say, where a mount cannot see to it."""
    from runner import device_rules

    if not device_rules.are_needed(devices):
        return limits
    return limits.but({"device_rules": device_rules.allowing(devices)})


def _refuse_settings_of_network(sysctls: Iterable[str]) -> None:
    for text in sysctls:
        if text.startswith("net."):
            name = text.partition("=")[0]
            raise UsageError(f"cannot set {name[:80]}: the container does not have its network to itself")


def capabilities(added: Iterable[str], dropped: Iterable[str]) -> frozenset[str]:
    """Docker's default set with some more and some less; what is added is there even if ALL is dropped.

    Raises `UsageError`.
    """
    add, drop = [_capability(name) for name in added], [_capability(name) for name in dropped]
    base = frozenset(NAMES) if _ALL in add else frozenset() if _ALL in drop else DEFAULT
    return (base | set(add) - {_ALL}) - (set(drop) - {_ALL} - (set(add) if _ALL in drop else set()))


def _capability(text: str) -> str:
    name = text.upper()
    if name == _ALL:
        return _ALL
    name = name if name.startswith("CAP_") else f"CAP_{name}"
    if name not in NAMES:
        raise UsageError(f"unknown capability {text[:40]!r}", hint="man 7 capabilities")
    return name


def _confinement(request: IsolationRequest, kept: frozenset[str], find: Callable[[str], str]) -> Confinement:
    security = _security(request.security, is_privileged=request.is_privileged)
    program, profile = _program(security.seccomp, kept)
    domain = (("kernel.domainname", request.domainname),) if request.domainname else ()
    return Confinement(
        is_privileged=request.is_privileged,
        seccomp=program,
        seccomp_profile=profile,
        has_no_new_privileges=security.has_no_new_privileges,
        shows_system_paths=security.shows_system_paths,
        devices=tuple(_device(text) for text in request.devices),
        resource_limits=tuple(_ulimit(text) for text in request.ulimits),
        sysctls=(*domain, *(_pair(text, "sysctl") for text in request.sysctls)),
        oom_score_adj=request.oom_score_adj,
        id_range=_id_range(request.user),
        shm_size=DEFAULT_SHM_SIZE if request.shm_size is None else request.shm_size,
        sharing=Sharing(
            pid=_sharing("pid", request.pid, find),
            ipc=_sharing("ipc", request.ipc, find),
            uts=_sharing("uts", request.uts, find),
            cgroup=_sharing("cgroup", request.cgroup, find),
        ),
    )


def shared_network(text: str, find: Callable[[str], str]) -> str:
    """``none``, ``host``, or ``container:`` with the whole id of the one that `find` finds.

    Raises `UsageError`, `MissingFeature` for docker's other networks.
    """
    if text.startswith(CONTAINER) and len(text) > len(CONTAINER):
        return CONTAINER + find(text.removeprefix(CONTAINER))
    if text in ("none", HOST):
        return text
    raise MissingFeature(
        f"cannot use --network {text[:80]}: lstore has no bridges and no named networks yet",
        hint="lstore run --network host …",
    )


def _id_range(mode: str) -> tuple[int, int, int] | None:
    """First uid, first gid and number of the ids of ``--userns remap``: those that subuid(5) keeps for us."""
    if mode in ("", HOST):
        return None
    if mode != _REMAP:
        raise UsageError(f"invalid --userns {mode[:40]!r}: it must be {HOST} or {_REMAP}")
    if os.geteuid() != 0:
        return None  # whoever is not root has ids of their own inside anyway
    uids, gids = (_own_range(f"/etc/{name}") for name in ("subuid", "subgid"))
    if uids is None or gids is None:
        raise MissingFeature(
            f"cannot map ids: /etc/subuid and /etc/subgid keep none for {_OWNER!r}",
            hint=f"echo {_OWNER}:1000000:65536 | tee -a /etc/subuid /etc/subgid",
        )
    return uids.outside, gids.outside, min(uids.count, gids.count)


def _own_range(path: str) -> Extent | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            text = stream.read(_MAX_FILE)
    except FileNotFoundError:
        return None
    from runner.namespaces import subordinate

    return subordinate(text, _OWNER)


def _sharing(kind: str, text: str, find: Callable[[str], str]) -> str:
    """ "" is one of its own; docker's "shareable" is what every own one is."""
    if text in _PRIVATE or (kind == "ipc" and text == "shareable"):
        return OWN
    if text.startswith(CONTAINER) and len(text) > len(CONTAINER):
        return CONTAINER + find(text.removeprefix(CONTAINER))
    if (kind, text) == ("pid", HOST) and os.geteuid() != 0:
        raise MissingFeature(
            "cannot share the host's processes without root: nothing would end the container's with it",
            hint="sudo lstore run …",
        )
    return text


def _security(options: Iterable[str], *, is_privileged: bool) -> _Security:
    """What ``--security-opt`` says: ``NAME=VALUE``, or by docker's older habit ``NAME:VALUE``."""
    found = {"seccomp": UNCONFINED if is_privileged else ""}
    has_no_new_privileges = shows_system_paths = False
    for option in options:
        name, _, value = (option if "=" in option else option.replace(":", "=", 1)).partition("=")
        if name == "no-new-privileges" and value in ("", "true", "false"):
            has_no_new_privileges = value != "false"
        elif name == "seccomp" and value:
            found["seccomp"] = value
        elif name == "systempaths" and value == UNCONFINED:
            shows_system_paths = True
        elif name in _MODULES_OF_OTHERS and value and value not in (UNCONFINED, "disable"):
            raise MissingFeature(f"cannot use the security option {option[:80]!r}: no {name} support here")
        elif name not in _MODULES_OF_OTHERS or not value:
            raise UsageError(f"invalid security option {option[:80]!r}", hint="lstore run --help")
    return _Security(found["seccomp"], has_no_new_privileges, shows_system_paths)


def _program(path: str, kept: frozenset[str]) -> tuple[str, str]:
    """The program of the profile in the file `path`, and its text; nothing of both where `path` is no file's."""
    if path in ("", UNCONFINED):
        return path, ""
    from runner.seccomp_profile import MAX_PROFILE, compile_profile

    try:
        with open(path, encoding="utf-8") as stream:
            text = stream.read(MAX_PROFILE)
    except OSError as error:
        raise file_error(error, f"read the seccomp profile {path}") from error
    return compile_profile(text, kept), text


def _device(text: str) -> Device:
    """``HOST[:CONTAINER][:rwm]``."""
    source, *rest = text.split(":")
    target, permissions = source, "rwm"
    if len(rest) == 1:
        if rest[0].startswith("/"):
            target = rest[0]
        else:
            permissions = rest[0]
    elif len(rest) == 2:
        target, permissions = rest
    elif rest:
        raise UsageError(f"invalid device {text[:80]!r}", hint="--device HOST[:CONTAINER][:rwm]")
    if not os.path.exists(source):
        raise UsageError(f"cannot add the device {source}: there is none")
    return Device(os.path.realpath(source), target, permissions)


def _ulimit(text: str) -> ResourceLimit:
    """``NAME=SOFT[:HARD]``; -1 is unlimited."""
    name, _, numbers = text.partition("=")
    soft, colon, hard = numbers.partition(":")
    try:
        limit = ResourceLimit(name.upper(), int(soft), int(hard) if colon else int(soft))
    except ValueError:
        raise UsageError(f"invalid resource limit {text[:80]!r}", hint="--ulimit nofile=1024:2048") from None
    from runner.resource_limits import number_of

    number_of(limit.name)
    return limit


def throttle(path: str, direction: Direction, unit: Unit, rate: int) -> Throttle:
    """The limit on the block device at `path`. Raises `UsageError`."""
    try:
        status = os.stat(path)
    except OSError as error:
        raise UsageError(f"cannot limit {path}: {(error.strerror or '').lower()}") from error
    if not stat.S_ISBLK(status.st_mode):
        raise UsageError(f"cannot limit {path}: it is no block device")
    return Throttle(os.major(status.st_rdev), os.minor(status.st_rdev), direction, unit, rate)


def _pair(text: str, what: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise UsageError(f"invalid {what} {text[:80]!r}: it must be NAME=VALUE")
    return name, value


def _names(request: IsolationRequest) -> Names:
    hosts = tuple(_host(text) for text in request.hosts)
    for address in request.dns:
        _check_address(address)
    search = () if request.dns_search == (".",) else request.dns_search
    return Names(hosts, request.dns, search, request.dns_options)


def _host(text: str) -> tuple[str, str]:
    """``NAME:ADDRESS`` or ``NAME=ADDRESS``; an address of IPv6 may stand in brackets."""
    cut = min((position for position in (text.find(":"), text.find("=")) if position > 0), default=0)
    name, address = text[:cut], text[cut + 1 :].removeprefix("[").removesuffix("]")
    if not cut or len(name) > _MAX_NAME or not name.isprintable() or " " in name:
        raise UsageError(f"invalid host {text[:80]!r}", hint="--add-host NAME:ADDRESS")
    if address == "host-gateway":
        raise MissingFeature("cannot name the host's gateway: lstore has no bridge networks yet")
    _check_address(address)
    return name, address


def _check_address(text: str) -> None:
    from ipaddress import ip_address

    try:
        ip_address(text)
    except ValueError:
        raise UsageError(f"invalid IP address {text[:60]!r}") from None


def _mounts(request: IsolationRequest) -> tuple[Mount, ...]:
    return (
        *(parse_volume(text) for text in request.volumes),
        *(parse_mount(text) for text in request.mounts),
        *(parse_tmpfs(text) for text in request.tmpfs),
    )
