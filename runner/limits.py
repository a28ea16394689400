"""What a container may use at most, as a value: what `runner.cgroups` has the kernel enforce."""

from __future__ import annotations

from layerstore.errors import UsageError
from layerstore.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Literal

    Direction = Literal["read", "write"]
    Unit = Literal["bps", "iops"]

UNLIMITED = -1
# docker refuses less: nothing starts in it.
MIN_MEMORY = 6 << 20
_SHARES = range(2, 262145)  # cgroup v1 cpu.shares, kernel/sched/core.c
_WEIGHTS = range(10, 1001)  # cgroup v1 blkio.weight
_NANO = 10**9
CPU_PERIOD = 100_000
"""The kernel's own period of a quota of processor time, in microseconds."""
_PERIODS = range(1000, 1_000_001)  # kernel/sched/core.c
_MIN_QUOTA = 1000


class Throttle(Value):
    """At most `rate` bytes (`bps`) or operations (`iops`) a second in one `direction` on one block device."""

    major: int
    minor: int
    direction: Direction
    unit: Unit
    rate: int


def _is_group(text: str) -> bool:
    steps = text.strip("/").split("/")
    return text.isprintable() and all(step not in ("", ".", "..") for step in steps)


class Limits(Value):
    """Limits of one container; what is None, empty or left out is not limited beyond what limits the launcher.

    Bytes for `memory`, `memory_swap` (memory and swap together) and `memory_reservation`; billionths of a
    processor for `cpus`, which excludes `cpu_quota` microseconds in each `cpu_period`. `memory_swap`, `pids` and
    `cpu_quota` may be `UNLIMITED`. `parent` is the control group to be limited with (`runner.cgroups.parents`).
    `device_rules` are the lines that cgroup v1's devices.allow takes ("c 1:3 rwm"); None leaves devices to the
    mounts (docs/adr/0004).
    """

    memory: int | None = None
    memory_swap: int | None = None
    memory_reservation: int | None = None
    cpus: int | None = None
    cpu_quota: int | None = None
    cpu_period: int | None = None
    cpu_shares: int | None = None
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    pids: int | None = None
    blkio_weight: int | None = None
    throttles: tuple[Throttle, ...] = ()
    parent: str = ""
    device_rules: tuple[str, ...] | None = None

    def _check(self) -> None:
        if self.memory is not None and self.memory < MIN_MEMORY:
            raise UsageError(f"cannot limit memory to {self.memory} bytes: the least is {MIN_MEMORY >> 20}m")
        self._check_swap()
        if self.memory and self.memory_reservation and self.memory_reservation > self.memory:
            raise UsageError("cannot reserve more memory than its limit")
        if self.cpus is not None and self.cpus < _NANO // 100:
            raise UsageError("cannot limit processors to less than 0.01")
        self._check_bandwidth()
        if self.cpu_shares is not None and self.cpu_shares not in _SHARES:
            raise UsageError(f"cannot give {self.cpu_shares} cpu shares: from 2 to 262144")
        if self.blkio_weight is not None and self.blkio_weight not in _WEIGHTS:
            raise UsageError(f"cannot give block i/o the weight {self.blkio_weight}: from 10 to 1000")
        if self.parent and not _is_group(self.parent):
            raise UsageError(f"cannot use the control group {self.parent[:80]!r}: it is no path of a group")
        for name, text in (("processors", self.cpuset_cpus), ("memory nodes", self.cpuset_mems)):
            if text.strip("0123456789,-"):
                raise UsageError(f"cannot use the {name} {text!r}: a list is like 0-2,7")

    def _check_swap(self) -> None:
        if self.memory_swap is None or self.memory_swap == UNLIMITED:
            return
        if self.memory is None:
            raise UsageError("cannot limit swap without a limit of memory", hint="--memory SIZE")
        if self.memory_swap < self.memory:
            raise UsageError("cannot limit memory and swap together to less than memory alone")

    def _check_bandwidth(self) -> None:
        """As docker does."""
        quota, period = self.cpu_quota, self.cpu_period
        if self.cpus is not None and (period is not None or (quota is not None and quota > 0)):
            raise UsageError(
                "cannot limit processors both by number and by a quota in a period", hint="--cpus NUMBER"
            )
        if period is not None and period not in _PERIODS:
            raise UsageError(f"cannot use a cpu period of {period} microseconds: from 1000 to 1000000")
        if quota is not None and quota != UNLIMITED and quota < _MIN_QUOTA:
            raise UsageError(f"cannot use a cpu quota of {quota} microseconds: 1000 at least, or -1")

    @property
    def bandwidth(self) -> tuple[int, int] | None:
        """Microseconds of processor time in each period, `UNLIMITED` for any, and of that; None where none is asked."""
        if self.cpus is not None:
            return self.cpus * CPU_PERIOD // _NANO, CPU_PERIOD
        if self.cpu_quota is None and self.cpu_period is None:
            return None
        return self.cpu_quota or UNLIMITED, self.cpu_period or CPU_PERIOD

    @property
    def swap_total(self) -> int | None:
        """`memory_swap`, or where memory alone is limited docker's rule: as much swap as memory."""
        if self.memory_swap is None and self.memory is not None:
            return 2 * self.memory
        return self.memory_swap

    def but(self, changes: Mapping[str, object]) -> Limits:
        """These limits with other values for the fields that `changes` names: what ``update`` does."""
        return Limits(**{**vars(self), **changes})
