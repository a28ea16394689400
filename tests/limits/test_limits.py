"""Limits on real containers, seen in the kernel's own files and by what happens to processes inside."""

import os
import subprocess
from pathlib import Path

import pytest

from fixtures.containers import Containers
from layerstore.errors import MissingFeature
from runner import cgroups
from runner.cgroups.host import Host, this_host
from runner.limits import Limits

pytestmark = pytest.mark.root

MEBI = 1 << 20


def group_of(containers: Containers) -> cgroups.Group:
    """The group of the container that was started last."""
    group = cgroups.load(str(containers.made[-1] / "state"))
    assert group is not None
    return group


def settings(containers: Containers, limits: dict[str, int | str], *files: str) -> list[str]:
    """What the kernel has in `files` of a running container's group: "controller file/other" per version."""
    with containers.start("echo ready; while :; do sleep 0.05; done", limits=limits) as launcher:
        assert launcher.stdout is not None
        assert launcher.stdout.readline() == "ready\n"
        group = group_of(containers)
        version = group.version - 1
        names = [each.split("|")[version] for each in files]
        found = [
            (Path(group.directory(name.split(".")[0]) or "") / name).read_text().strip() for name in names
        ]
        launcher.kill()
    cgroups.remove(str(containers.made[-1] / "state"))
    return found


def test_a_limit_of_memory_ends_who_passes_it(containers: Containers) -> None:
    script = "head -c 300m /dev/zero | tail > /dev/null; echo $?"

    outcome = containers.run("sh", "-c", script, limits={"memory": 96 * MEBI})

    assert outcome.output == "137\n", outcome


def test_what_the_kernel_killed_is_counted(containers: Containers) -> None:
    # Room enough that the first process, which is Python's until it executes the shell, is never the one killed.
    script = "head -c 300m /dev/zero | tail > /dev/null; echo $?; while :; do sleep 0.05; done"

    with containers.start(script, limits={"memory": 96 * MEBI}) as launcher:
        assert launcher.stdout is not None
        assert launcher.stdout.readline() == "137\n"
        kills = cgroups.oom_kills(group_of(containers))
        launcher.terminate()
        launcher.kill()
    cgroups.remove(str(containers.made[-1] / "state"))

    assert kills == 1


def test_memory_and_swap_are_what_was_asked_for(containers: Containers) -> None:
    found = settings(
        containers,
        {"memory": 64 * MEBI, "memory_swap": 96 * MEBI, "memory_reservation": 32 * MEBI},
        "memory.limit_in_bytes|memory.max",
        "memory.soft_limit_in_bytes|memory.low",
    )

    assert found == [str(64 * MEBI), str(32 * MEBI)]


def test_a_limit_of_processes_stops_a_fork_bomb(containers: Containers) -> None:
    script = "for i in 1 2 3 4 5 6 7 8 9; do sleep 10 & done; echo all"

    outcome = containers.run("sh", "-c", script, limits={"pids": 5})

    assert "can't fork" in outcome.errors
    assert outcome.output == ""


def test_processors_are_limited_by_time_share_and_number(containers: Containers) -> None:
    found = settings(
        containers,
        {"cpus": 500_000_000, "cpu_shares": 512},
        "cpu.cfs_quota_us|cpu.max",
        "cpu.shares|cpu.weight",
    )

    assert found in (["50000", "512"], ["50000 100000", "20"])


def test_a_container_sees_the_processors_it_may_use(containers: Containers) -> None:
    assert (
        containers.sh("grep Cpus_allowed_list /proc/self/status", limits={"cpuset_cpus": "0"}).split()[1]
        == "0"
    )


def test_the_weight_of_block_i_o_is_set(containers: Containers) -> None:
    group = cgroups.create("probe", Limits(), str(containers.scratch))
    assert group is not None
    files = ("blkio|blkio.weight", "blkio|blkio.bfq.weight", "io|io.weight", "io|io.bfq.weight")
    pairs = [each.split("|") for each in files]
    has_weight = any((Path(group.directory(name) or "/none") / file).exists() for name, file in pairs)
    group.remove()

    outcome = containers.run("true", limits={"blkio_weight": 300})

    if has_weight:
        assert outcome.status == 0, outcome
    else:
        assert "cannot weigh block i/o" in outcome.errors


def test_the_container_is_the_root_of_its_own_view(containers: Containers) -> None:
    lines = containers.sh("cat /proc/self/cgroup").splitlines()

    group = [line.split(":", 2) for line in lines]
    assert {path for _, names, path in group if names in ("memory", "cpu", "pids", "freezer")} <= {"/"}


def test_nothing_is_left_of_a_group(containers: Containers) -> None:
    script = "trap 'exit 3' TERM; echo ready; while :; do sleep 0.05; done"
    with containers.start(script, limits={"memory": 96 * MEBI}) as launcher:
        assert launcher.stdout is not None
        assert launcher.stdout.readline() == "ready\n"
        places = group_of(containers).places
        assert [place for place in places if not os.path.exists(place)] == []
        launcher.terminate()
        assert launcher.wait() == 3

    assert [place for place in places if os.path.exists(place)] == []
    assert cgroups.load(str(containers.made[-1] / "state")) is None


def test_what_a_killed_launcher_left_is_found_and_removed(containers: Containers) -> None:
    state = str(containers.scratch / "container0" / "state")
    with containers.start("echo ready; while :; do sleep 0.05; done") as launcher:
        assert launcher.stdout is not None
        launcher.stdout.readline()
        launcher.kill()
        launcher.stdout.read()
    group = group_of(containers)
    assert all(os.path.exists(place) for place in group.places)

    cgroups.remove(state)
    cgroups.remove(state)

    assert [place for place in group.places if os.path.exists(place)] == []


def test_a_value_that_the_kernel_refuses_is_an_error_and_leaves_nothing(containers: Containers) -> None:
    outcome = containers.run("true", limits={"cpuset_cpus": "4095"})

    assert outcome.status == 125
    assert "cannot choose processors (cpuset.cpus = 4095)" in outcome.errors
    assert [place for place in group_of(containers).places if os.path.exists(place)] == []


def test_a_limit_that_nothing_enforces_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if this_host().version == 2:
        pytest.skip("version 2 has one hierarchy, which cannot lack a single controller")

    def without_pids() -> Host:
        host = this_host()
        return Host(host.version, tuple(each for each in host.own if each[0] != "pids"), host.unified)

    monkeypatch.setattr("runner.cgroups.making.this_host", without_pids)

    with pytest.raises(MissingFeature, match="no controller pids"):
        cgroups.create("x", Limits(pids=10), str(tmp_path))


def test_without_any_control_group_only_limits_are_missed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("runner.cgroups.making.this_host", lambda: Host(0))

    assert cgroups.create("x", Limits(), str(tmp_path)) is None
    with pytest.raises(MissingFeature, match="no control group here"):
        cgroups.create("x", Limits(pids=10), str(tmp_path))


def test_frozen_processes_stand_still_and_go_on(containers: Containers) -> None:
    script = "echo ready; while :; do :; done"
    with containers.start(script) as launcher:
        assert launcher.stdout is not None
        launcher.stdout.readline()
        group = group_of(containers)

        group.freeze()
        before = cgroups.measure(group).cpu
        subprocess.run(["sleep", "0.05"], check=True)
        after = cgroups.measure(group).cpu
        was_frozen = group.is_frozen
        group.thaw()

        is_frozen = group.is_frozen
        launcher.kill()
    cgroups.remove(str(containers.made[-1] / "state"))
    assert (was_frozen, is_frozen) == (True, False)
    assert before == after


def test_killing_a_group_takes_what_is_frozen_and_what_left_its_session(containers: Containers) -> None:
    script = "setsid sleep 1000 & sleep 1000 & echo ready; while :; do sleep 0.05; done"
    with containers.start(script) as launcher:
        assert launcher.stdout is not None
        launcher.stdout.readline()
        group = group_of(containers)
        group.freeze()

        group.kill()

        assert group.processes() == ()
        assert launcher.stdout.read() == ""
        assert launcher.wait() == 137


def test_usage_is_what_was_used(containers: Containers) -> None:
    script = "head -c 30m /dev/zero > /dev/shm/x; sleep 1000 & echo ready; while :; do sleep 0.05; done"
    limits: dict[str, int | str] = {"memory": 128 * MEBI, "pids": 50}
    with containers.start(script, limits=limits) as launcher:
        assert launcher.stdout is not None
        launcher.stdout.readline()
        usage = cgroups.measure(group_of(containers))
        launcher.kill()
    cgroups.remove(str(containers.made[-1] / "state"))

    assert 30 * MEBI <= usage.memory < 128 * MEBI
    assert usage.memory_limit == 128 * MEBI
    assert usage.processes >= 2
    assert usage.cpu > 0


def test_limits_change_while_the_container_runs(containers: Containers) -> None:
    with containers.start(
        "echo ready; while :; do sleep 0.05; done", limits={"memory": 96 * MEBI}
    ) as launcher:
        assert launcher.stdout is not None
        launcher.stdout.readline()
        group = group_of(containers)
        group.change(Limits(memory=128 * MEBI, pids=7))
        usage = cgroups.measure(group)
        processes = Path(group.directory("pids") or "", "pids.max").read_text()
        group.change(Limits(memory=16 * MEBI, memory_swap=16 * MEBI))
        smaller = cgroups.measure(group)
        launcher.kill()
    cgroups.remove(str(containers.made[-1] / "state"))

    assert (usage.memory_limit, processes) == (128 * MEBI, "7\n")
    assert smaller.memory_limit == 16 * MEBI


def test_with_version_2_the_kernel_says_which_controllers_there_are(tmp_path: Path) -> None:
    place = tmp_path / "a group"
    place.mkdir()
    (place / "cgroup.controllers").write_text("memory pids\n")
    (tmp_path / "cgroup").write_text(f"2\ncgroup {place}\n")

    group = cgroups.load(str(tmp_path))

    assert group == cgroups.Group(2, (("cgroup", str(place)), ("memory", str(place)), ("pids", str(place))))
    assert group is not None
    assert group.places == (str(place),)
