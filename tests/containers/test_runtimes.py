"""Containers that runc and crun run, through the same commands as our own: exec, terminals, files, limits, ends."""

import io
import os
import random
import select
import subprocess
import tarfile
from pathlib import Path

import pexpect
import pytest

from runner.oci_runtime import failure
from tests.containers.conftest import Lstore, kill, pids
from tests.containers.test_killed import SEED, command_line, groups_of, processes_of, survey
from tests.containers.test_terminal import PATIENCE, PROMPT, end

pytestmark = [pytest.mark.root, pytest.mark.package("runc"), pytest.mark.package("crun")]

KILLS = int(os.environ.get("LSTORE_KILLS", "20")) // 4
# crun refuses hybrid control groups, which it recognises by this mount.
HIDE = 'test -d /sys/fs/cgroup/unified && mount -t tmpfs none /sys/fs/cgroup/unified; exec "$@"'


@pytest.fixture(params=["runc", "crun"])
def runtime(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def hidden(lstore: Lstore) -> Lstore:
    """The same store where crun runs."""
    return Lstore(lstore.root, ("unshare", "--mount", "sh", "-c", HIDE, "sh"))


@pytest.fixture
def box(hidden: Lstore, runtime: str) -> str:
    """A container that sleeps, as nobody else does."""
    hidden.detached("--name", "box", "--runtime", runtime, "busybox", "sleep", "54321")
    return "box"


def test_exec_joins_as_confined_as_the_first_process(hidden: Lstore, box: str) -> None:
    script = "readlink /proc/self/ns/pid; grep -E '^(Cap|Seccomp:|NoNewPrivs)' /proc/self/status"

    mine = hidden("exec", box, "sh", "-c", script).splitlines()
    own = hidden("exec", box, "sh", "-c", script.replace("self", "1")).splitlines()
    status = hidden.call(
        "exec", "-u", "7:8", "-w", "/tmp", "-e", "A=b", box, "sh", "-c", "id -u; pwd; echo $A; exit 9"
    )

    assert mine == own
    assert (status.returncode, status.stdout.split()) == (9, ["7", "/tmp", "b"])


def test_the_pid_that_inspect_tells_is_the_container_s(hidden: Lstore, box: str) -> None:
    pid = hidden("inspect", "--format", "{{.State.Pid}}", box)

    assert Path(f"/proc/{pid}/cmdline").read_bytes() == b"sleep\x0054321\x00"


@pytest.mark.parametrize(
    ("command", "status"), [("nosuch", 127), ("/no/such", 127), ("/etc", 126), ("/etc/passwd", 126)]
)
def test_a_command_that_cannot_start_has_docker_s_status_and_leaves_a_created_container(
    hidden: Lstore, runtime: str, command: str, status: int
) -> None:
    done = hidden.call("run", "--name", "none", "--runtime", runtime, "busybox", command)

    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr.startswith(f"lstore: {runtime} cannot start the container: ")
    state = hidden.inspect("none", "{{json .State}}")
    assert isinstance(state, dict)
    assert (state["Status"], state["ExitCode"]) == ("created", status)
    assert (processes_of(hidden), groups_of(hidden)) == ([], [])


def test_a_command_that_ends_with_1_is_no_failure_to_start(hidden: Lstore, runtime: str) -> None:
    done = hidden.call("run", "--rm", "--runtime", runtime, "busybox", "sh", "-c", "echo executable; exit 1")

    assert (done.returncode, done.stdout, done.stderr) == (1, "executable\n", "")


@pytest.mark.parametrize(
    ("message", "status"),
    [
        ("cgroups in hybrid mode not supported, drop all controllers from cgroupv2", 125),
        ("mount `/no/such` to `/x`: No such file or directory", 125),
        ("", 125),
        (
            'runc run failed: unable to start container process: exec: "x": stat x: no such file or directory',
            127,
        ),
        ("open executable: Permission denied", 126),
    ],
)
def test_only_what_a_runtime_says_of_the_command_is_the_command_s_fault(message: str, status: int) -> None:
    assert failure("runc", message).exit_status == status


def test_files_go_in_and_out(hidden: Lstore, box: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("content")

    hidden("cp", str(tmp_path / "file"), "box:/file")
    seen = hidden("exec", box, "cat", "/file")
    with tarfile.open(fileobj=io.BytesIO(hidden.bytes("cp", "box:/file", "-"))) as tar:
        names = tar.getnames()

    assert (seen, names) == ("content", ["file"])
    assert "A /file" in hidden("diff", box).splitlines()


def test_pause_stops_it_and_stats_and_top_tell_of_it(hidden: Lstore, box: str) -> None:
    hidden("exec", "-d", box, "sh", "-c", "while :; do date +%N > /now; done")

    hidden("pause", box)
    first = hidden("cp", "box:/now", "-")
    second = hidden("cp", "box:/now", "-")
    hidden("unpause", box)
    used = hidden("stats", "--no-stream", "--format", "{{.MemUsage}}", box)
    table = hidden("top", box).splitlines()

    assert first == second
    assert not used.startswith("0B")
    assert any("sleep 54321" in line for line in table)
    assert not any("run --pid-file" in line for line in table)


def test_top_leaves_out_the_host_s_processes_and_the_runtime(hidden: Lstore, runtime: str) -> None:
    hidden.detached("--name", "box", "--pid", "host", "--runtime", runtime, "busybox", "sleep", "54321")

    (line,) = hidden("top", "box", "-eo", "pid,args").splitlines()[1:]

    assert line.split()[1:] == ["sleep", "54321"]


def test_a_health_check_runs_inside(hidden: Lstore, runtime: str) -> None:
    check = ("--health-cmd", "pidof sleep >> /checked", "--health-interval", "50ms")
    hidden.detached("--name", "box", "--runtime", runtime, *check, "busybox", "sleep", "54321")

    hidden.until(hidden.home("box"), lambda state: state["health"] == "healthy")

    assert hidden("exec", "box", "head", "-n", "1", "/checked") == "1"


def test_another_container_shares_its_processes(hidden: Lstore, box: str) -> None:
    seen = hidden("run", "--rm", "--pid", "container:box", "busybox", "ps", "-o", "args")

    assert "sleep 54321" in seen.splitlines()


def test_a_shell_has_a_terminal(hidden: Lstore, runtime: str) -> None:
    command, *rest = hidden.command("run", "--rm", "-it", "--runtime", runtime, "busybox", "sh")
    client = pexpect.spawn(
        command, rest, timeout=PATIENCE, dimensions=(33, 77), encoding="utf-8", env=hidden.environment
    )
    try:
        client.expect_exact(PROMPT)
        client.sendline("tty; stty size")
        client.expect("/dev/pts/0")
        client.expect("33 77")
        client.expect_exact(PROMPT)
        if runtime == "runc":  # crun follows sizes from 1.8.7 on (containers/crun#1262)
            client.setwinsize(44, 88)
            client.sendline("while [ \"$(stty size)\" != '44 88' ]; do :; done; echo resi''zed")
            client.expect("resized")
        client.sendline("exit 7")

        assert end(client) == 7
    finally:
        client.close(force=True)


def test_nothing_is_left_when_monitor_and_runtime_are_killed(hidden: Lstore, box: str) -> None:
    home = hidden.home(box)
    assert os.listdir(home / "oci") != []

    kill(hidden.monitors()[0])
    done = hidden.call("ps", "-a", "--format", "{{.State}}")

    assert done.stdout == "exited\n"
    assert os.listdir(home / "oci") == []
    assert processes_of(hidden) == []
    assert groups_of(hidden) == []
    assert hidden("start", box) == box


def test_nothing_is_left_by_a_removal_by_force(hidden: Lstore, box: str) -> None:
    hidden("rm", "-f", box)

    assert hidden.leftovers() == []
    assert processes_of(hidden) == []
    assert groups_of(hidden) == []


def test_nothing_is_left_of_kills_at_random_moments(hidden: Lstore, runtime: str) -> None:
    moments, seconds = random.Random(SEED), f"{54320 + len(runtime)}{os.getpid()}"  # which nobody else sleeps
    hidden("run", "--rm", "--runtime", runtime, "busybox", "true")
    before = survey(hidden)
    for number in range(KILLS):
        command = hidden.command(
            "run", "--rm", "--name", "victim", "--runtime", runtime, "busybox", "sleep", seconds
        )
        launcher = subprocess.Popen(
            command,
            env=hidden.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        select.select([], [], [], moments.uniform(0, 0.5))
        for victim in hidden.monitors() or [launcher.pid]:
            kill(victim)
        launcher.kill()
        launcher.wait()
        hidden.call("rm", "-f", "victim")
        hidden.call("system", "restore")

        assert (hidden.leftovers(), processes_of(hidden), groups_of(hidden)) == ([], [], []), number
    assert survey(hidden) == before
    sleepers = [pid for pid in pids() if seconds.encode() in command_line(pid)]
    assert sleepers == []
