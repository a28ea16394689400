"""Limits as values, and what is written for them: no file is touched."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerstore.errors import UsageError
from runner.cgroups import version1, version2
from runner.cgroups.write import Write
from runner.limits import UNLIMITED, Limits, Throttle

MEBI = 1 << 20


def written(writes: tuple[Write, ...]) -> list[tuple[str, str]]:
    """(file, text) of the first choice of each write."""
    return [each.choices[0] for each in writes]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"memory": MEBI}, "the least is 6m"),
        ({"memory_swap": 64 * MEBI}, "without a limit of memory"),
        ({"memory": 64 * MEBI, "memory_swap": 32 * MEBI}, "less than memory alone"),
        ({"memory": 64 * MEBI, "memory_reservation": 65 * MEBI}, "more memory than its limit"),
        ({"cpus": 1}, "less than 0.01"),
        ({"cpus": 10**9, "cpu_quota": 50_000}, "both by number and by a quota"),
        ({"cpus": 10**9, "cpu_period": 50_000}, "both by number and by a quota"),
        ({"cpu_quota": 999}, "1000 at least"),
        ({"cpu_quota": -2}, "1000 at least"),
        ({"cpu_period": 999}, "from 1000 to 1000000"),
        ({"cpu_period": 1_000_001}, "from 1000 to 1000000"),
        ({"cpu_shares": 1}, "cpu shares"),
        ({"blkio_weight": 9}, "weight"),
        ({"cpuset_cpus": "0-a"}, "a list is like"),
    ],
)
def test_limits_that_cannot_be_are_refused(fields: dict[str, int], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Limits(**fields)


def test_nothing_asked_is_nothing_written() -> None:
    assert version1.plan(Limits()) == version2.plan(Limits()) == ()


def test_version_1_gets_docker_s_own_numbers() -> None:
    limits = Limits(
        memory=64 * MEBI,
        memory_reservation=32 * MEBI,
        cpus=1_500_000_000,
        cpu_shares=512,
        cpuset_cpus="0",
        pids=20,
        blkio_weight=300,
        throttles=(Throttle(8, 0, "read", "bps", MEBI),),
    )

    assert written(version1.plan(limits)) == [
        ("memory.limit_in_bytes", "67108864"),
        ("memory.memsw.limit_in_bytes", "134217728"),
        ("memory.soft_limit_in_bytes", "33554432"),
        ("cpu.cfs_period_us", "100000"),
        ("cpu.cfs_quota_us", "150000"),
        ("cpu.shares", "512"),
        ("cpuset.cpus", "0"),
        ("pids.max", "20"),
        ("blkio.throttle.read_bps_device", "8:0 1048576"),
        ("blkio.weight", "300"),
    ]


def test_version_2_gets_them_converted() -> None:
    limits = Limits(
        memory=64 * MEBI,
        memory_swap=96 * MEBI,
        memory_reservation=32 * MEBI,
        cpus=1_500_000_000,
        cpu_shares=1024,
        cpuset_mems="0",
        pids=UNLIMITED,
        blkio_weight=1000,
        throttles=(Throttle(8, 0, "write", "iops", 50),),
    )

    assert written(version2.plan(limits)) == [
        ("memory.max", "67108864"),
        ("memory.swap.max", "33554432"),
        ("memory.low", "33554432"),
        ("cpu.max", "150000 100000"),
        ("cpu.weight", "39"),
        ("cpuset.mems", "0"),
        ("pids.max", "max"),
        ("io.max", "8:0 wiops=50"),
        ("io.weight", "default 10000"),
    ]


@pytest.mark.parametrize(
    ("fields", "first", "second"),
    [
        ({"cpu_quota": 20_000}, ["100000", "20000"], "20000 100000"),
        ({"cpu_period": 50_000}, ["50000", "-1"], "max 50000"),
        ({"cpu_quota": 25_000, "cpu_period": 50_000}, ["50000", "25000"], "25000 50000"),
        ({"cpu_quota": UNLIMITED}, ["100000", "-1"], "max 100000"),
    ],
)
def test_a_quota_of_processor_time_has_a_period(
    fields: dict[str, int], first: list[str], second: str
) -> None:
    *_, period, quota = written(version1.plan(Limits(**fields)))

    assert [period, quota] == [("cpu.cfs_period_us", first[0]), ("cpu.cfs_quota_us", first[1])]
    assert written(version2.plan(Limits(**fields))) == [("cpu.max", second)]


def test_only_a_swap_limit_that_was_asked_for_has_to_be_enforced() -> None:
    def is_asked(limits: Limits) -> list[bool]:
        plans = (version1.plan(limits), version2.plan(limits))
        return [each.is_asked for plan in plans for each in plan if each.purpose == "limit swap"]

    assert is_asked(Limits(memory=64 * MEBI)) == [False, False]
    assert is_asked(Limits(memory=64 * MEBI, memory_swap=64 * MEBI)) == [True, True]


@given(
    now=st.integers(12, 1000),
    memory=st.integers(6, 500),
    more=st.integers(0, 500),
)
def test_version_1_never_sees_memory_and_swap_below_memory(now: int, memory: int, more: int) -> None:
    """Whatever the limits were: the kernel refuses a write that breaks this order at any moment."""
    before = {"memory.limit_in_bytes": now // 2, "memory.memsw.limit_in_bytes": now}

    plan = version1.plan(
        Limits(memory=memory * MEBI, memory_swap=(memory + more) * MEBI), memory_swap_now=now * MEBI
    )

    state = {name: value * MEBI for name, value in before.items()}
    for file, text in written(plan):
        state[file] = int(text)
        assert state["memory.limit_in_bytes"] <= state["memory.memsw.limit_in_bytes"]


def test_a_change_keeps_what_it_does_not_name() -> None:
    before = Limits(memory=64 * MEBI, pids=20, cpuset_cpus="0")

    after = before.but({"pids": 30, "cpu_shares": 512})

    assert after == Limits(memory=64 * MEBI, pids=30, cpuset_cpus="0", cpu_shares=512)
