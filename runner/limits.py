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


class Throttle(Value):
    """At most `rate` bytes (`bps`) or operations (`iops`) a second in one `direction` on one block device."""

    major: int
    minor: int
    direction: Direction
    unit: Unit
    rate: int


class Limits(Value):
    """Limits of one container; what is None, empty or left out is not limited beyond what limits the launcher.

    Bytes for `memory`, `memory_swap` (memory and swap together) and `memory_reservation`; billionths of a
    processor for `cpus`. `memory_swap` and `pids` may be `UNLIMITED`. `device_rules` are the lines that
    cgroup v1's devices.allow takes ("c 1:3 rwm"); None leaves devices to the mounts (docs/adr/0004).
    """

    memory: int | None = None
    memory_swap: int | None = None
    memory_reservation: int | None = None
    cpus: int | None = None
    cpu_shares: int | None = None
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    pids: int | None = None
    blkio_weight: int | None = None
    throttles: tuple[Throttle, ...] = ()
    device_rules: tuple[str, ...] | None = None

    def _check(self) -> None:
        if self.memory is not None and self.memory < MIN_MEMORY:
            raise UsageError(f"cannot limit memory to {self.memory} bytes: the least is {MIN_MEMORY >> 20}m")
        self._check_swap()
        if self.memory and self.memory_reservation and self.memory_reservation > self.memory:
            raise UsageError("cannot reserve more memory than its limit")
        if self.cpus is not None and self.cpus < _NANO // 100:
            raise UsageError("cannot limit processors to less than 0.01")
        if self.cpu_shares is not None and self.cpu_shares not in _SHARES:
            raise UsageError(f"cannot give {self.cpu_shares} cpu shares: from 2 to 262144")
        if self.blkio_weight is not None and self.blkio_weight not in _WEIGHTS:
            raise UsageError(f"cannot give block i/o the weight {self.blkio_weight}: from 10 to 1000")
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

    @property
    def swap_total(self) -> int | None:
        """`memory_swap`, or where memory alone is limited docker's rule: as much swap as memory."""
        if self.memory_swap is None and self.memory is not None:
            return 2 * self.memory
        return self.memory_swap

    def but(self, changes: Mapping[str, object]) -> Limits:
        """These limits with other values for the fields that `changes` names: what ``update`` does."""
        return Limits(**{**vars(self), **changes})
