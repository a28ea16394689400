"""`update` and `stats` on containers that run."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

pytestmark = pytest.mark.root

DOCKER_COLUMNS = [
    "CONTAINER ID", "NAME", "CPU %", "MEM USAGE / LIMIT", "MEM %", "NET I/O", "BLOCK I/O", "PIDS",
]  # fmt: skip


def call(root: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "lstore", "--root", str(root), *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=60
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, busybox_layout: Path) -> Path:
    """A store with busybox in it."""
    root = tmp_path_factory.mktemp("update") / "store"
    call(root, "load", "-q", "-i", str(busybox_layout)).check_returncode()
    return root


@pytest.fixture
def running(store: Path) -> Iterator[str]:
    """A container that runs, has taken its memory, and is busy in its one process."""
    name = f"busy-{os.urandom(4).hex()}"
    script = "head -c 8m /dev/zero > /dev/shm/x; echo busy; while :; do :; done"
    call(store, "run", "-d", "--name", name, "-m", "64m", "busybox", "sh", "-c", script).check_returncode()
    await_word(store, name, "busy")
    yield name
    call(store, "rm", "-f", name).check_returncode()


def await_word(store: Path, name: str, word: str) -> None:
    """Wait until the container writes the line `word`: ``run -d`` returns when its first process has begun."""
    command = [sys.executable, "-m", "lstore", "--root", str(store), "logs", "--follow", name]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as logs:
        assert logs.stdout is not None
        assert logs.stdout.readline() == f"{word}\n"
        logs.terminate()


def inside(store: Path, name: str, *files: str) -> list[str]:
    """What the first of two files says ("version 1|version 2"), below the container's own /sys/fs/cgroup."""
    pairs = [each.split("|") for each in files]
    script = "; ".join(f"cat /sys/fs/cgroup/{v1} 2> /dev/null || cat /sys/fs/cgroup/{v2}" for v1, v2 in pairs)
    return call(store, "exec", name, "sh", "-c", script).stdout.split("\n")[:-1]


def test_limits_change_at_once_and_for_the_next_run(store: Path, running: str) -> None:
    files = (
        "memory/memory.limit_in_bytes|memory.max",
        "pids/pids.max|pids.max",
        "cpuset/cpuset.cpus|cpuset.cpus",
    )
    flags = ["--memory", "128m", "--memory-swap", "256m", "--pids-limit", "33", "--cpuset-cpus", "0"]

    updated = call(store, "update", *flags, running)

    assert (updated.returncode, updated.stdout) == (0, f"{running}\n"), updated
    assert inside(store, running, *files) == ["134217728", "33", "0"]
    call(store, "restart", "-t", "0", running).check_returncode()
    assert inside(store, running, *files) == ["134217728", "33", "0"]


def test_every_limit_changes(store: Path, running: str) -> None:
    files = (
        "memory/memory.memsw.limit_in_bytes|memory.swap.max",
        "memory/memory.soft_limit_in_bytes|memory.low",
        "cpu/cpu.shares|cpu.weight",
        "cpu/cpu.cfs_quota_us|cpu.max",
        "cpuset/cpuset.mems|cpuset.mems",
        "pids/pids.max|pids.max",
    )
    flags = ["--memory-swap", "96m", "--memory-reservation", "32m", "--cpu-shares", "512", "--cpus", "0.5"]
    first = call(store, "update", *flags, "--cpuset-mems", "0", "--pids-limit", "50", running)
    changed = inside(store, running, *files)
    second = call(store, "update", "--memory-swap", "-1", "--pids-limit", "-1", running)
    unbound = inside(store, running, *files)

    assert (first.stderr, second.stderr) == ("", "")
    assert changed in (
        [str(96 << 20), str(32 << 20), "512", "50000", "0", "50"],
        [str(32 << 20), str(32 << 20), "20", "50000 100000", "0", "50"],
    )
    assert unbound[1:5] == changed[1:5]
    assert unbound[0] == "max" or int(unbound[0]) > 1 << 60
    assert unbound[5] == "max"


def test_a_quota_of_processor_time_changes_with_its_period(store: Path, running: str) -> None:
    files = "cpu.max 2> /dev/null || cat cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us"

    def now() -> list[str]:
        return call(store, "exec", running, "sh", "-c", f"cd /sys/fs/cgroup; cat {files}").stdout.split()

    def update(*flags: str) -> "subprocess.CompletedProcess[str]":
        return call(store, "update", *flags, running)

    assert update("--cpu-quota", "40000", "--cpu-period", "50000").stderr == ""
    assert now() == ["40000", "50000"]
    assert update("--cpu-period", "20000", "--cpu-quota", "10000").stderr == ""
    assert now() == ["10000", "20000"]
    assert "both by number and by a quota" in update("--cpus", "0.5").stderr
    assert "1000 at least" in update("--cpu-quota", "10").stderr
    assert update("--cpu-quota", "-1").stderr == ""
    assert now() in (["-1", "20000"], ["max", "20000"])


def test_a_weight_of_block_io_changes_or_is_refused(store: Path, running: str) -> None:
    done = call(store, "update", "--blkio-weight", "300", running)

    if done.returncode:
        assert "cannot weigh block i/o" in done.stderr
    else:
        files = "blkio/blkio.weight blkio/blkio.bfq.weight io.weight io.bfq.weight"
        script = f"cd /sys/fs/cgroup; cat {files} 2> /dev/null; true"
        assert {"300", "2930"} & set(call(store, "exec", running, "sh", "-c", script).stdout.split())


def test_a_limit_that_cannot_be_changes_nothing(store: Path, running: str) -> None:
    refused = call(store, "update", "--memory-swap", "32m", running)
    wrong = call(store, "update", "--cpuset-cpus", "4095", running)
    nowhere = call(store, "update", "--cpuset-mems", "1023", running)

    assert "less than memory alone" in refused.stderr
    assert "cannot choose processors" in wrong.stderr
    assert "cannot choose memory nodes" in nowhere.stderr
    call(store, "restart", "-t", "0", running).check_returncode()
    assert inside(store, running, "memory/memory.limit_in_bytes|memory.max") == ["67108864"]


def test_a_restart_policy_changes_while_it_runs(store: Path) -> None:
    name = f"policy-{os.urandom(4).hex()}"
    script = "echo run; until test -e /go; do sleep 0.05; done; exit 3"
    call(store, "run", "-d", "--name", name, "busybox", "sh", "-c", script).check_returncode()

    assert call(store, "update", "--restart", "on-failure:2", name).returncode == 0
    call(store, "exec", name, "touch", "/go").check_returncode()
    while call(store, "logs", name).stdout.count("run") < 3:
        call(store, "wait", name).check_returncode()
    last = call(store, "wait", name).stdout

    assert last == "3\n"
    assert call(store, "logs", name).stdout == "run\n" * 3
    assert call(store, "update", "--restart", "sometimes", name).returncode != 0
    call(store, "rm", name).check_returncode()


def test_statistics_are_what_the_kernel_counts(store: Path, running: str) -> None:
    before = inside(store, running, "memory/memory.usage_in_bytes|memory.current")
    shown = call(store, "stats", "--no-stream", "--format", "json", running)
    pids = inside(store, running, "pids/pids.current|pids.current")

    (row,) = [json.loads(line) for line in shown.stdout.splitlines()]
    used, limit = row["MemUsage"].split(" / ")
    assert (row["Name"], limit) == (running, "64MiB")
    mebibytes = float(used.removesuffix("MiB"))
    assert 8 <= mebibytes < 64
    assert abs(mebibytes - int(before[0]) / (1 << 20)) < 8  # what reads it takes some, too
    assert abs(float(row["MemPerc"].removesuffix("%")) - mebibytes / 64 * 100) < 0.1
    # One loop keeps no more than one processor busy, and none of it is idle.
    assert 1 < float(row["CPUPerc"].removesuffix("%")) < 130
    # The two that read the number inside are there no more.
    assert (int(row["PIDs"]), int(pids[0]) - 2) == (1, 1)
    assert row["NetIO"] == "0B / 0B"


def test_those_that_do_not_run_are_shown_where_asked_for(store: Path, running: str) -> None:
    identity = call(store, "create", "--name", "idle", "busybox").stdout.strip()
    form = ("--format", "{{.ID}} {{.Name}} {{.PIDs}} {{.MemUsage}}")

    usual = call(store, "stats", "--no-stream", *form).stdout.splitlines()
    every = call(store, "stats", "-a", "--no-stream", "--no-trunc", *form).stdout.splitlines()
    call(store, "rm", "idle").check_returncode()

    assert [line.split()[1] for line in usual] == [running]
    assert f"{identity} idle 0 0B / 0B" in every
    assert len(every) == 2


def test_a_table_has_docker_s_columns(store: Path, running: str) -> None:
    title, *rows = call(store, "stats", "--no-stream").stdout.splitlines()

    assert [part.strip() for part in title.split("   ") if part.strip()] == DOCKER_COLUMNS
    assert [row for row in rows if running in row] != []


def test_elsewhere_one_measurement_follows_the_other(store: Path, running: str) -> None:
    command = [
        sys.executable,
        "-m",
        "lstore",
        "--root",
        str(store),
        "stats",
        "--format",
        "{{.CPUPerc}}",
        running,
    ]

    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        shares = [float(process.stdout.readline().strip().removesuffix("%")) for _ in range(2)]
        process.terminate()

    assert min(shares) > 1


def test_on_a_terminal_the_table_is_renewed_in_place(store: Path, running: str) -> None:
    command = ["-m", "lstore", "--root", str(store), "stats", running]
    terminal = pexpect.spawn(sys.executable, command, timeout=60, dimensions=(24, 200))

    terminal.expect("CPU %")
    terminal.expect("CPU %")
    terminal.sendintr()
    terminal.expect(pexpect.EOF)
    terminal.close()

    assert b"\x1b[?1049l" in terminal.before + b"\x1b[?1049l"
    assert terminal.exitstatus == 130


def test_a_container_that_does_not_exist_is_named(store: Path) -> None:
    assert "no such container: nobody" in call(store, "stats", "--no-stream", "nobody").stderr
    assert "no such container: nobody" in call(store, "update", "-m", "64m", "nobody").stderr
