"""What a container has used, from the files of its control group."""

from __future__ import annotations

from layerstore.value import Value
from runner.cgroups.group import read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runner.cgroups.group import Group

# What version 1 says instead of "no limit": the largest multiple of a page in a signed 64-bit number, or near it.
_NO_LIMIT = 1 << 62


class Usage(Value):
    """Nanoseconds of processor time; bytes of memory, of reads and of writes; 0 where nothing tells.

    `memory` leaves out file pages that could go at once, as docker does; its limit is None where there is none.
    """

    cpu: int = 0
    memory: int = 0
    memory_limit: int | None = None
    processes: int = 0
    read: int = 0
    written: int = 0


def measure(group: Group) -> Usage:
    """What everything in `group` uses now, and has used; all zero once it is gone."""
    return _version1(group) if group.version == 1 else _version2(group)


def oom_kills(group: Group) -> int:
    """How many of its processes the kernel killed for want of memory."""
    if group.version == 1:
        return _fields(read(group.directory("memory"), "memory.oom_control")).get("oom_kill", 0)
    return _fields(read(group.directory("memory"), "memory.events")).get("oom_kill", 0)


def _version1(group: Group) -> Usage:
    memory, pids, block = (group.directory(name) for name in ("memory", "pids", "blkio"))
    reclaimable = _fields(read(memory, "memory.stat")).get("total_inactive_file", 0)
    reads, writes = _version1_block(read(block, "blkio.throttle.io_service_bytes_recursive"))
    return Usage(
        cpu=_number(read(group.directory("cpuacct"), "cpuacct.usage")) or 0,
        memory=max((_number(read(memory, "memory.usage_in_bytes")) or 0) - reclaimable, 0),
        memory_limit=_number(read(memory, "memory.limit_in_bytes")),
        processes=_number(read(pids, "pids.current")) or 0,
        read=reads,
        written=writes,
    )


def _version1_block(text: str) -> tuple[int, int]:
    """From lines like ``8:0 Read 4096``."""
    rows = [row for line in text.splitlines() if len(row := line.split()) == 3]
    reads, writes = (sum(int(row[2]) for row in rows if row[1] == word) for word in ("Read", "Write"))
    return reads, writes


def _version2(group: Group) -> Usage:
    memory, pids = group.directory("memory"), group.directory("pids")
    reclaimable = _fields(read(memory, "memory.stat")).get("inactive_file", 0)
    reads, writes = _version2_block(read(group.directory("io"), "io.stat"))
    return Usage(
        cpu=_fields(read(group.places[0], "cpu.stat")).get("usage_usec", 0) * 1000,
        memory=max((_number(read(memory, "memory.current")) or 0) - reclaimable, 0),
        memory_limit=_number(read(memory, "memory.max")),
        processes=_number(read(pids, "pids.current")) or 0,
        read=reads,
        written=writes,
    )


def _version2_block(text: str) -> tuple[int, int]:
    """From lines like ``8:0 rbytes=4096 wbytes=0 rios=1 …``."""
    fields = [
        dict(part.split("=", 1) for part in line.split()[1:] if "=" in part) for line in text.splitlines()
    ]
    return sum(int(each.get("rbytes", 0)) for each in fields), sum(
        int(each.get("wbytes", 0)) for each in fields
    )


def _fields(text: str) -> dict[str, int]:
    """Lines of a name and a number."""
    rows = (line.split() for line in text.splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdigit()}


def _number(text: str) -> int | None:
    """A number that is less than "no limit"; None for that, and where there is none."""
    stripped = text.strip()
    return int(stripped) if stripped.isdigit() and int(stripped) < _NO_LIMIT else None
