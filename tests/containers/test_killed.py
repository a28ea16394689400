"""kill -9 of launchers and monitors, at any moment: the next command notices, and nothing is left."""

import fcntl
import json
import os
import random
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.containers.conftest import Lstore, kill, open_files, pids

pytestmark = pytest.mark.root

ROUNDS = int(os.environ.get("LSTORE_KILLS", "20"))
SEED = 20241124


def processes_of(lstore: Lstore) -> list[int]:
    """Whatever has a file of the store's containers open, sees a mount of it, or runs its `marked` interpreter."""
    root, python = str(lstore.root), lstore.python.encode()
    is_known = python != sys.executable.encode()
    return [
        pid
        for pid in pids()
        if any(root in path for path in open_files(pid))
        or any(root in line for line in _mounts_of(pid))
        or (is_known and python in command_line(pid))
    ]


def command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _mounts_of(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/mountinfo").read_text().splitlines()
    except OSError:
        return []


def groups_of(lstore: Lstore) -> list[str]:
    """The control groups of all containers that the store ever had."""
    events = (lstore.root / "containers" / "events").read_text().splitlines()
    names = {f"lstore-{json.loads(line)['Actor']['ID'][:12]}" for line in events}
    walked = os.walk("/sys/fs/cgroup")  # minds no group of others' that goes meanwhile
    return [f"{place}/{name}" for place, below, _ in walked for name in below if name[:19] in names]


def locks_of(lstore: Lstore) -> list[str]:
    """The files of the store of which somebody holds a lock: proc_locks(5)."""
    numbers = {line.split()[5].rpartition(":")[2] for line in Path("/proc/locks").read_text().splitlines()}
    paths = (
        os.path.join(place, name) for place, below, files in os.walk(lstore.root) for name in below + files
    )
    return [path for path in paths if str(os.lstat(path).st_ino) in numbers and _is_locked(path)]


def _is_locked(path: str) -> bool:
    """Inode numbers are those of one file system, and another one's may be the same."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def survey(lstore: Lstore) -> dict[str, list[str]]:
    """All that there is of a store: paths, mounts in anybody's namespace, control groups, processes, locks."""
    root = str(lstore.root)
    paths = (os.path.join(place, name) for place, below, files in os.walk(root) for name in below + files)
    return {
        "directories": sorted(path for path in paths if not path.startswith(f"{root}/containers/events")),
        "mounts": sorted({line for pid in pids() for line in _mounts_of(pid) if root in line}),
        "groups": groups_of(lstore),
        "processes": [str(pid) for pid in processes_of(lstore)],
        "locks": locks_of(lstore),
    }


@pytest.fixture
def marked(lstore: Lstore, tmp_path: Path) -> Lstore:
    """The same store by way of an interpreter with a name of its own, so that each process of it is known."""
    python = tmp_path / "python-of-this-test"
    python.symlink_to(os.path.realpath(sys.executable))
    return Lstore(lstore.root, python=str(python))


def test_a_killed_monitor_is_noticed_said_and_cleaned_up(lstore: Lstore) -> None:
    lstore.detached("--name", "orphan", "busybox", "sleep", "1000")
    (monitor,) = lstore.monitors()

    kill(monitor)
    done = lstore.call("ps", "-a", "--format", "{{.Names}} {{.State}}")

    assert done.stdout == "orphan exited\n"
    assert "the monitor of container orphan was killed" in done.stderr
    state = lstore.inspect("orphan", "{{json .State}}")
    assert isinstance(state, dict)
    assert (state["ExitCode"], state["Error"]) == (137, "its monitor was killed")
    assert processes_of(lstore) == []
    assert lstore("start", "orphan") == "orphan"


def test_the_container_of_a_killed_monitor_can_be_started_and_removed_at_once(lstore: Lstore) -> None:
    for command in (("start", "hit"), ("rm", "hit")):
        if command[0] == "start":
            lstore.detached("--name", "hit", "busybox", "sleep", "1000")
        kill(lstore.monitors()[0])
        lstore(*command)

    assert lstore.leftovers() == []


def test_a_container_to_be_removed_goes_with_its_killed_monitor(lstore: Lstore) -> None:
    lstore.detached("--rm", "busybox", "sleep", "1000")

    kill(lstore.monitors()[0])
    lstore("ps")

    assert lstore.leftovers() == []


def test_a_client_tells_of_the_death_of_its_container_s_monitor(lstore: Lstore) -> None:
    with lstore.under_way("run", "--rm", "busybox", "sh", "-c", "echo up; sleep 1000") as client:
        assert client.stdout is not None
        client.stdout.readline()
        kill(lstore.monitors()[0])
        _, errors = client.communicate(timeout=60)

    assert client.returncode == 137
    assert b"was killed" in errors
    assert lstore.leftovers() == []


@pytest.mark.parametrize("patience", ["10", "-1"])
def test_a_monitor_that_is_asked_to_end_ends_its_container_in_its_own_way(
    lstore: Lstore, patience: str
) -> None:
    script = "trap 'sleep 0.3; echo bye; exit 0' TERM; echo ready; while :; do sleep 0.05; done"
    policies = ("--restart", "unless-stopped", "--stop-timeout", patience)
    lstore.detached("--name", "asked", *policies, "busybox", "sh", "-c", script)
    lstore.wait_for_line("asked", "ready")
    home = lstore.home("asked")

    os.kill(lstore.monitors()[0], signal.SIGTERM)
    state = lstore.until(home, lambda state: state["status"] == "exited")

    assert (state["exit_code"], state["is_stopped"]) == (0, False)
    assert lstore("logs", "asked").split() == ["ready", "bye"]


def test_after_a_reboot_what_should_run_runs_again_and_the_rest_is_told(lstore: Lstore) -> None:
    for name, policy in (("always", "always"), ("unless", "unless-stopped"), ("plain", "no")):
        lstore.detached("--name", name, "--restart", policy, "busybox", "sleep", "1000")
    lstore.detached("--name", "stopped", "--restart", "unless-stopped", "busybox", "sleep", "1000")
    lstore("stop", "-t", "0", "stopped")
    lstore.detached("--name", "temporary", "--rm", "busybox", "sleep", "1000")
    lstore("create", "--name", "made", "--restart", "always", "busybox", "sleep", "1000")
    lstore("pause", "unless")
    pretend_a_reboot(lstore)

    restored = lstore("system", "restore")

    assert sorted(restored.split()) == ["always", "unless"]
    assert sorted(lstore("ps", "--format", "{{.Names}}").split()) == ["always", "unless"]
    assert [lstore("exec", name, "cat", "/proc/1/comm") for name in ("always", "unless")] == ["sleep"] * 2
    assert sorted(lstore("ps", "-a", "--filter", "status=exited", "--format", "{{.Names}}").split()) == [
        "plain",
        "stopped",
    ]
    assert lstore("ps", "-a", "--filter", "status=created", "--format", "{{.Names}}") == "made"
    assert lstore.inspect("plain", "{{json .State.ExitCode}}") == 255
    assert lstore("system", "restore") == ""


def pretend_a_reboot(lstore: Lstore) -> None:
    for pid in lstore.monitors():
        kill(pid)
    for state in (lstore.root / "containers").glob("*/state"):
        text = state.read_text()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        state.write_text(text.replace(boot, "another-boot"))


def test_kills_at_random_moments_leave_nothing(marked: Lstore) -> None:
    """LSTORE_KILLS says how many; the moments are the same in each run, as far as a clock can be."""
    lstore, moments = marked, random.Random(SEED)
    lstore("run", "--rm", "busybox", "true")
    before = survey(lstore)
    for number in range(ROUNDS):
        name = f"victim{number}"
        arguments = ("run", "--name", name, *(("--rm",) if number % 2 else ()), "busybox", "sleep", "1000")
        launcher = subprocess.Popen(
            lstore.command(*arguments),
            env=lstore.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        select.select([], [], [], moments.uniform(0, 0.4))
        hits_monitor = moments.random() < 0.5
        victims = lstore.monitors() if hits_monitor else [launcher.pid]
        for victim in victims or [launcher.pid]:
            kill(victim)
        launcher.kill()
        launcher.wait()
        lstore.call("rm", "-f", name)
        lstore("ps")  # what had no name yet goes with the next command that looks at containers

        assert lstore.leftovers() == [], (number, hits_monitor)
    lstore("system", "restore")
    assert survey(lstore) == before
    assert [before[kind] for kind in ("mounts", "groups", "processes", "locks")] == [[], [], [], []]


def test_a_creation_that_was_killed_is_swept_away(lstore: Lstore) -> None:
    identity = "0" * 64
    home = lstore.root / "containers" / identity
    home.mkdir(parents=True)
    (home / "lock").touch()
    (home / "state").write_text('{"class":"ContainerState","status":"creating"}')
    (lstore.root / "containers" / "names").mkdir(exist_ok=True)
    (lstore.root / "containers" / "names" / "half").symlink_to(identity)

    assert lstore("ps", "-aq") == ""

    assert lstore.leftovers() == []


def test_a_creation_that_was_killed_before_it_had_a_state_is_swept_away(lstore: Lstore) -> None:
    lstore("create", "busybox")
    home = lstore.root / "containers" / ("0" * 64)
    home.mkdir()
    (home / "lock").touch()

    assert len(lstore("ps", "-aq").split()) == 1

    assert not home.exists()


@pytest.mark.parametrize("name", ["state", "config"])
def test_what_a_power_cut_left_of_a_container_that_was_to_be_removed_is_swept_away(
    lstore: Lstore, name: str
) -> None:
    """Such a container does not wait for the disk: a file that was written last may be there, and be empty."""
    identity = lstore("create", "--rm", "--name", "passing", "busybox")
    (lstore.root / "containers" / identity / name).write_bytes(b"")

    assert lstore("ps", "-aq") == ""

    assert lstore.leftovers() == []


def test_a_rename_that_was_killed_leaves_no_name_for_good(lstore: Lstore) -> None:
    identity = lstore("create", "--name", "real", "busybox")
    names = lstore.root / "containers" / "names"
    (names / "stale").symlink_to(identity)
    (names / "nobody").symlink_to("f" * 64)

    lstore("create", "--name", "nobody", "busybox")
    lstore("system", "restore")

    assert sorted(path.name for path in names.iterdir()) == ["nobody", "real"]


def test_whatever_is_left_would_be_seen(marked: Lstore) -> None:
    marked("run", "--rm", "busybox", "true")
    before = survey(marked)

    marked.detached("--name", "box", "busybox", "sleep", "1000")
    running = survey(marked)
    marked("rm", "-f", "box")

    assert [kind for kind in before if running[kind] == before[kind]] == []
    assert {str(pid) for pid in marked.monitors()} <= set(running["processes"])
    assert any(path.endswith("/monitor") for path in running["locks"])
    assert survey(marked) == before
