"""`stats`: what running containers use, measured from their control groups and network namespaces."""

from __future__ import annotations

import os
import time

from layerstore.value import Value
from lstore.engine.containers.look import Container, examine_all, look
from runner import cgroups
from runner.cgroups import Usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from lstore.engine.engine import Engine

_MAX_FILE = 1 << 20
_MEMINFO = "/proc/meminfo"


class Sample(Value):
    """One look at a container; `moment` in seconds of a clock that only goes forward, network in bytes."""

    container: Container
    moment: float
    usage: Usage
    received: int = 0
    sent: int = 0


def containers(engine: Engine, names: Sequence[str], *, is_all: bool = False) -> list[Container]:
    """Those of `names`, or else all that run, with `is_all` all there are. Raises `NotFound`, `Conflict`."""
    if names:
        return [look(engine, name) for name in names]
    return [each for each in examine_all(engine) if is_all or each.state.is_alive]


def sample(container: Container) -> Sample:
    """Measure `container`; all is zero where it does not run."""
    group = cgroups.load(container.home.path) if container.state.is_alive else None
    usage = Usage() if group is None else cgroups.measure(group)
    received, sent = _network(container)
    return Sample(container, time.monotonic(), usage, received, sent)


def processor_share(before: Sample, after: Sample) -> float:
    """How much of one processor was used between the two, 1.0 for all of it."""
    seconds = after.moment - before.moment
    return max(after.usage.cpu - before.usage.cpu, 0) / seconds / 1e9 if seconds > 0 else 0.0


def memory_limit(usage: Usage) -> int:
    """The bytes that the container can use: its limit, or all that the machine has."""
    machine = _machine_memory()
    return min(usage.memory_limit or machine, machine)


def _machine_memory() -> int:
    with open(_MEMINFO, encoding="ascii") as stream:
        for line in stream:
            if line.startswith("MemTotal:"):
                return int(line.split()[1]) << 10
    return 0


def _network(container: Container) -> tuple[int, int]:
    """Bytes received and sent over all interfaces but the loopback one; nothing where it has the host's network."""
    pid = container.state.pid
    if not pid or container.config.network == "host":
        return 0, 0
    try:
        fd = os.open(f"/proc/{pid}/net/dev", os.O_RDONLY | os.O_CLOEXEC)
        with open(fd, encoding="ascii", errors="replace") as stream:
            text = stream.read(_MAX_FILE)
    except OSError:
        return 0, 0  # it has ended meanwhile
    rows = [line.replace(":", " ").split() for line in text.splitlines() if ":" in line]
    counted = [row for row in rows if len(row) > 9 and row[0] != "lo"]
    return sum(int(row[1]) for row in counted), sum(int(row[9]) for row in counted)
