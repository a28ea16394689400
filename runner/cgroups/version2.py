"""Limits → what is written with control groups of version 2. Pure.

Linux ``Documentation/admin-guide/cgroup-v2.rst``. Shares and weights are docker's, on version 1's scale, and are
converted as the OCI runtimes do it.
"""

from __future__ import annotations

from runner.cgroups.write import Write, one

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runner.limits import Limits, Throttle

# Enabled wherever possible, for accounting.
USUAL = ("memory", "cpu", "cpuset", "pids", "io")
_DEVICE_KEYS = {
    ("read", "bps"): "rbps",
    ("write", "bps"): "wbps",
    ("read", "iops"): "riops",
    ("write", "iops"): "wiops",
}


def plan(limits: Limits) -> tuple[Write, ...]:
    """The writes that make a group obey `limits`, in order."""
    return (*_memory(limits), *_processors(limits), *_pids(limits), *_block(limits))


def _memory(limits: Limits) -> list[Write]:
    writes = []
    if limits.memory is not None:
        writes.append(one("memory", "memory.max", str(limits.memory), "limit memory"))
    total = limits.swap_total
    if total is not None:
        swap = "max" if total < 0 else str(total - (limits.memory or 0))
        asked = limits.memory_swap is not None
        writes.append(Write("memory", (("memory.swap.max", swap),), "limit swap", is_asked=asked))
    if limits.memory_reservation is not None:
        writes.append(one("memory", "memory.low", str(limits.memory_reservation), "reserve memory"))
    return writes


def _processors(limits: Limits) -> list[Write]:
    writes = []
    if limits.bandwidth is not None:
        quota, period = limits.bandwidth
        text = f"{'max' if quota < 0 else quota} {period}"
        writes.append(one("cpu", "cpu.max", text, "limit processors"))
    if limits.cpu_shares is not None:
        weight = 1 + (limits.cpu_shares - 2) * 9999 // 262142
        writes.append(one("cpu", "cpu.weight", str(weight), "give cpu shares"))
    if limits.cpuset_cpus:
        writes.append(one("cpuset", "cpuset.cpus", limits.cpuset_cpus, "choose processors"))
    if limits.cpuset_mems:
        writes.append(one("cpuset", "cpuset.mems", limits.cpuset_mems, "choose memory nodes"))
    return writes


def _pids(limits: Limits) -> list[Write]:
    if limits.pids is None:
        return []
    return [one("pids", "pids.max", str(limits.pids) if limits.pids > 0 else "max", "limit processes")]


def _block(limits: Limits) -> list[Write]:
    writes = [_throttle(each) for each in limits.throttles]
    if limits.blkio_weight is not None:
        weight = 1 + (limits.blkio_weight - 10) * 9999 // 990
        choices = (("io.weight", f"default {weight}"), ("io.bfq.weight", str(limits.blkio_weight)))
        writes.append(Write("io", choices, "weigh block i/o"))
    return writes


def _throttle(limit: Throttle) -> Write:
    key = _DEVICE_KEYS[limit.direction, limit.unit]
    return one("io", "io.max", f"{limit.major}:{limit.minor} {key}={limit.rate}", "limit block i/o")
