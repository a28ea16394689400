"""Limits → what is written with control groups of version 1. Pure.

Linux ``Documentation/admin-guide/cgroup-v1/``; the meanings are docker's, which speaks version 1.
"""

from __future__ import annotations

from runner.cgroups.write import Write, one
from runner.limits import UNLIMITED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runner.limits import Limits, Throttle

# Always made: accounting, freezing and killing need them.
USUAL = ("memory", "cpu", "cpuacct", "cpuset", "freezer", "pids", "blkio")
# What a group of the cpuset controller needs before it takes a process.
CPUSET = ("cpuset.cpus", "cpuset.mems")


def plan(limits: Limits, *, memory_swap_now: int | None = None) -> tuple[Write, ...]:
    """The writes that make a group obey `limits`, in order.

    `memory_swap_now` is the limit of memory and swap that the group has; the kernel wants that limit never
    to be below memory's own, so which is written first depends on it.
    """
    return (
        *_memory(limits, memory_swap_now),
        *_processors(limits),
        *_cpuset(limits),
        *_pids(limits),
        *_block(limits),
        *_devices(limits),
    )


def _memory(limits: Limits, swap_now: int | None) -> list[Write]:
    writes = []
    if limits.memory is not None:
        writes.append(one("memory", "memory.limit_in_bytes", str(limits.memory), "limit memory"))
    total = limits.swap_total
    if total is not None:
        swap = Write(
            "memory",
            (("memory.memsw.limit_in_bytes", str(total)),),
            "limit swap",
            is_asked=limits.memory_swap is not None,
        )
        grows = swap_now is not None and (total < 0 or total > swap_now)
        writes.insert(0 if grows else len(writes), swap)
    if limits.memory_reservation is not None:
        text = str(limits.memory_reservation)
        writes.append(one("memory", "memory.soft_limit_in_bytes", text, "reserve memory"))
    return writes


def _processors(limits: Limits) -> list[Write]:
    writes = []
    if limits.bandwidth is not None:
        quota, period = limits.bandwidth
        if limits.cpus is None:
            # At each write the kernel compares the two with those of the group above; both change, one by one.
            writes.append(one("cpu", "cpu.cfs_quota_us", str(UNLIMITED), "limit processors"))
        writes.append(one("cpu", "cpu.cfs_period_us", str(period), "limit processors"))
        writes.append(one("cpu", "cpu.cfs_quota_us", str(quota), "limit processors"))
    if limits.cpu_shares is not None:
        writes.append(one("cpu", "cpu.shares", str(limits.cpu_shares), "give cpu shares"))
    return writes


def _cpuset(limits: Limits) -> list[Write]:
    writes = []
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
        weight = str(limits.blkio_weight)
        choices = (("blkio.weight", weight), ("blkio.bfq.weight", weight))
        writes.append(Write("blkio", choices, "weigh block i/o"))
    return writes


def _throttle(limit: Throttle) -> Write:
    file = f"blkio.throttle.{limit.direction}_{limit.unit}_device"
    return one("blkio", file, f"{limit.major}:{limit.minor} {limit.rate}", "limit block i/o")


def _devices(limits: Limits) -> list[Write]:
    if limits.device_rules is None:
        return []
    deny = one("devices", "devices.deny", "a", "confine devices")
    return [deny, *(one("devices", "devices.allow", rule, "allow devices") for rule in limits.device_rules)]
