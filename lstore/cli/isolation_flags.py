"""The options of ``run`` and ``create`` for isolation and limits, as docker spells them, and the request they make."""

from __future__ import annotations

from layerstore.errors import UsageError
from lstore.cli.flags import Flag
from lstore.cli.quantities import parse_binary_size
from lstore.engine.isolation import IsolationRequest, throttle
from runner.limits import UNLIMITED, Limits, Throttle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lstore.cli.flags import Given
    from runner.limits import Direction, Unit

_NANO = 10**9
_MAX_FRACTION = 9

LIMIT_FLAGS: tuple[Flag, ...] = (
    Flag(("--blkio-weight",), "blkio_weight", "number", "Share of block i/o against others, 10 to 1000"),
    Flag(("--cpu-period",), "cpu_period", "number", "Microseconds in which it may use its --cpu-quota"),
    Flag(("--cpu-quota",), "cpu_quota", "number", "Microseconds of processor time in each period, -1 for any"),
    Flag(("-c", "--cpu-shares"), "cpu_shares", "number", "Share of processor time against others"),
    Flag(("--cpus",), "cpus", "text", "How many processors' time it may use at most", metavar="NUMBER"),
    Flag(("--cpuset-cpus",), "cpuset_cpus", "text", "The processors to run on", metavar="LIST"),
    Flag(("--cpuset-mems",), "cpuset_mems", "text", "The memory nodes to use", metavar="LIST"),
    Flag(("-m", "--memory"), "memory", "text", "How much memory it may use at most", metavar="SIZE"),
    Flag(("--memory-reservation",), "memory_reservation", "text", "Memory it keeps when that is short", metavar="SIZE"),
    Flag(("--memory-swap",), "memory_swap", "text", "Memory and swap together, -1 for any swap", metavar="SIZE"),
    Flag(("--pids-limit",), "pids_limit", "number", "How many processes it may have at most, -1 for any number"),
)  # fmt: skip
ISOLATION_FLAGS: tuple[Flag, ...] = (
    *LIMIT_FLAGS,
    Flag(("--add-host",), "add_host", "list", "Add a line to /etc/hosts", metavar="NAME:IP"),
    Flag(("--cap-add",), "cap_add", "list", "Give a capability", metavar="NAME"),
    Flag(("--cap-drop",), "cap_drop", "list", "Take a capability", metavar="NAME"),
    Flag(("--cgroup-parent",), "cgroup_parent", "text", "The control group to make its own in", metavar="PATH"),
    Flag(("--cgroupns",), "cgroupns", "text", "Whose control groups it sees", choices=("private", "host")),
    Flag(("--device",), "device", "list", "Add a device of the host", metavar="HOST[:INSIDE][:rwm]"),
    Flag(("--device-read-bps",), "device_read_bps", "list", "Bytes a second read from a device", metavar="PATH:SIZE"),
    Flag(("--device-read-iops",), "device_read_iops", "list", "Reads a second from a device", metavar="PATH:NUMBER"),
    Flag(("--device-write-bps",), "device_write_bps", "list", "Bytes a second to a device", metavar="PATH:SIZE"),
    Flag(("--device-write-iops",), "device_write_iops", "list", "Writes a second to a device", metavar="PATH:NUMBER"),
    Flag(("--dns",), "dns", "list", "A server to ask for names", metavar="IP"),
    Flag(("--dns-option", "--dns-opt"), "dns_option", "list", "An option of resolv.conf", metavar="OPTION"),
    Flag(("--dns-search",), "dns_search", "list", "A domain to look for names in, . for none", metavar="DOMAIN"),
    Flag(("--domainname",), "domainname", "text", "The NIS domain name inside", metavar="STRING"),
    Flag(("--group-add",), "group_add", "list", "Another group of the user", metavar="NAME|GID"),
    Flag(("--ipc",), "ipc", "text", "Whose shared memory: private, host, container:NAME", metavar="MODE"),
    Flag(("--mount",), "mount", "list", "Bind a directory or mount a tmpfs", metavar="type=TYPE,target=PATH…"),
    Flag(("--oom-score-adj",), "oom_score_adj", "number", "Who is killed first when memory is short, -1000 to 1000"),
    Flag(("--pid",), "pid", "text", "Whose processes it sees: host, container:NAME", metavar="MODE"),
    Flag(("--privileged",), "privileged", "switch", "Confine it hardly at all"),
    Flag(("--runtime",), "runtime", "text", "What runs it instead of our own launcher", choices=("crun", "runc")),
    Flag(
        ("--security-opt",), "security_opt", "list",
        "seccomp=FILE|unconfined, no-new-privileges, systempaths=unconfined", metavar="OPTION",
    ),
    Flag(("--shm-size",), "shm_size", "text", "Size of /dev/shm", metavar="SIZE"),
    Flag(("--sysctl",), "sysctl", "list", "Set a setting of the kernel", metavar="NAME=VALUE"),
    Flag(("--tmpfs",), "tmpfs", "list", "Mount a tmpfs", metavar="PATH[:OPTIONS]"),
    Flag(("--ulimit",), "ulimit", "list", "Limit a resource of each process", metavar="NAME=SOFT[:HARD]"),
    Flag(("--userns",), "userns", "text", "Whose ids users have inside: host, or remap for their own", metavar="MODE"),
    Flag(("--uts",), "uts", "text", "Whose host name it has: host", metavar="MODE"),
    Flag(("-v", "--volume"), "volume", "list", "Bind a directory or file of the host", metavar="HOST:INSIDE[:ro]"),
)  # fmt: skip


def isolation_of(given: Given) -> IsolationRequest:
    """What the options ask for. Raises `UsageError`, `MissingFeature`."""
    shm_size = given.text("shm_size")
    return IsolationRequest(
        limits=_limits(given),
        cap_add=given.texts("cap_add"),
        cap_drop=given.texts("cap_drop"),
        is_privileged=given.is_on("privileged"),
        security=given.texts("security_opt"),
        devices=given.texts("device"),
        ulimits=given.texts("ulimit"),
        sysctls=given.texts("sysctl"),
        oom_score_adj=given.number("oom_score_adj"),
        shm_size=None if shm_size is None else parse_binary_size(shm_size),
        tmpfs=given.texts("tmpfs"),
        mounts=given.texts("mount"),
        volumes=given.texts("volume"),
        groups=given.texts("group_add"),
        pid=given.text("pid") or "",
        ipc=given.text("ipc") or "",
        uts=given.text("uts") or "",
        cgroup=given.text("cgroupns") or "",
        user=given.text("userns") or "",
        hosts=given.texts("add_host"),
        dns=given.texts("dns"),
        dns_search=given.texts("dns_search"),
        dns_options=given.texts("dns_option"),
        domainname=given.text("domainname") or "",
        runtime=given.text("runtime") or "",
    )


def _limits(given: Given) -> Limits:
    others = Limits(throttles=_throttles(given), parent=given.text("cgroup_parent") or "")
    return others.but(limits_given(given))


def limits_given(given: Given) -> dict[str, object]:
    """What `LIMIT_FLAGS` ask for, by fields of `Limits`, and nothing of what they leave open. Raises `UsageError`."""
    pids = given.number("pids_limit")
    fields: dict[str, object] = {
        "memory": _size(given.text("memory")),
        "memory_swap": _size(given.text("memory_swap")),
        "memory_reservation": _size(given.text("memory_reservation")),
        "cpus": _processors(given.text("cpus")),
        "cpu_quota": given.number("cpu_quota") or None,
        "cpu_period": given.number("cpu_period") or None,
        "cpu_shares": given.number("cpu_shares") or None,
        "cpuset_cpus": given.text("cpuset_cpus") or None,
        "cpuset_mems": given.text("cpuset_mems") or None,
        "pids": UNLIMITED if pids is not None and pids <= 0 else pids,
        "blkio_weight": given.number("blkio_weight") or None,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _size(text: str | None) -> int | None:
    """0 is no limit, as with docker."""
    if text is None:
        return None
    return UNLIMITED if text.strip() == "-1" else parse_binary_size(text) or None


def _processors(text: str | None) -> int | None:
    """Billionths of a processor, exactly."""
    if text is None:
        return None
    whole, _, fraction = text.strip().partition(".")
    digits = f"{whole}{fraction}"
    if not digits.isascii() or not digits.isdigit() or len(fraction) > _MAX_FRACTION:
        raise UsageError(f"invalid number of processors {text[:40]!r}", hint="--cpus 1.5")
    return int(whole or "0") * _NANO + int(fraction.ljust(_MAX_FRACTION, "0")) or None


def _throttles(given: Given) -> tuple[Throttle, ...]:
    kinds: tuple[tuple[Direction, Unit], ...] = (
        ("read", "bps"),
        ("read", "iops"),
        ("write", "bps"),
        ("write", "iops"),
    )
    return tuple(
        _throttle(text, direction, unit)
        for direction, unit in kinds
        for text in given.texts(f"device_{direction}_{unit}")
    )


def _throttle(text: str, direction: Direction, unit: Unit) -> Throttle:
    path, colon, rate = text.rpartition(":")
    if not colon or not path.startswith("/"):
        raise UsageError(
            f"invalid limit of a device {text[:80]!r}", hint=f"--device-{direction}-{unit} /dev/sda:1m"
        )
    if unit == "iops" and not (rate.isascii() and rate.isdigit()):
        raise UsageError(f"invalid number of operations {rate[:40]!r}")
    return throttle(path, direction, unit, int(rate) if unit == "iops" else parse_binary_size(rate))
