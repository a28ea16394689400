"""exec: one more process in a container, as confined as its first one."""

import os
import signal
from pathlib import Path

import pytest

from tests.containers.conftest import Lstore

pytestmark = pytest.mark.root

NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "uts")


@pytest.fixture
def host(lstore: Lstore) -> str:
    """A container that runs."""
    lstore.detached("--name", "host", "-e", "OWN=1", "-w", "/tmp", "-h", "box", "busybox", "sleep", "1000")
    return "host"


def test_a_process_joins_every_namespace(lstore: Lstore, host: str) -> None:
    first = lstore.inspect(host, "{{json .State.Pid}}")
    expected = [os.readlink(f"/proc/{first}/ns/{name}") for name in NAMESPACES]

    output = lstore(
        "exec", host, "sh", "-c", f"for n in {' '.join(NAMESPACES)}; do readlink /proc/self/ns/$n; done"
    )

    assert output.split() == expected
    assert not set(expected) & {os.readlink(f"/proc/self/ns/{name}") for name in NAMESPACES}


def test_it_is_as_confined_as_the_first_one(lstore: Lstore, host: str) -> None:
    names = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "Seccomp", "NoNewPrivs", "SigBlk", "SigIgn"]

    def confinement(pid: str) -> dict[str, str]:
        text = lstore("exec", host, "cat", f"/proc/{pid}/status")
        found = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
        return {name: found[name] for name in names}

    assert confinement("self") == confinement("1")
    groups = lstore("exec", host, "sh", "-c", "cat /proc/1/cgroup; echo; cat /proc/self/cgroup").split("\n\n")
    assert groups[0] == groups[1]


def test_no_descriptor_gets_in(lstore: Lstore, host: str) -> None:
    assert lstore("exec", host, "sh", "-c", "ls /proc/self/fd").split() == ["0", "1", "2", "3"]


def test_environment_directory_and_user_are_the_container_s_unless_told_otherwise(
    lstore: Lstore, host: str
) -> None:
    assert lstore("exec", host, "sh", "-c", "echo $OWN $ADDED $HOSTNAME $(pwd) $(id -u)") == "1 box /tmp 0"
    options = ("-e", "ADDED=2", "-w", "/etc", "-u", "65534:12")
    assert (
        lstore("exec", *options, host, "sh", "-c", "echo $OWN $ADDED $(pwd) $(id -u):$(id -g)")
        == "1 2 /etc 65534:12"
    )


def test_variables_come_from_files_too(lstore: Lstore, host: str, tmp_path: Path) -> None:
    (tmp_path / "env").write_text("# comment\nADDED=from file\nHOME\nABSENT_OUTSIDE\nBOTH=file\n")

    output = lstore("exec", "--env-file", str(tmp_path / "env"), "-e", "BOTH=flag", "-e", "PATH", host, "env")

    lines = output.splitlines()
    outside = lstore.environment
    assert {"ADDED=from file", f"HOME={outside['HOME']}", "BOTH=flag", f"PATH={outside['PATH']}"} <= set(
        lines
    )
    assert [line for line in lines if line.startswith("ABSENT")] == []


def test_status_and_streams_are_the_process_s(lstore: Lstore, host: str) -> None:
    done = lstore.call("exec", "-i", host, "sh", "-c", "cat; echo err >&2; exit 9", stdin=b"in")

    assert (done.returncode, done.stdout, done.stderr) == (9, "in", "err\n")
    assert lstore("exec", host, "cat", stdin=b"in") == ""
    assert lstore.call("exec", host, "sh", "-c", "kill -9 $$").returncode == 137


def test_what_cannot_be_executed_has_docker_s_status(lstore: Lstore, host: str) -> None:
    assert lstore.call("exec", host, "/nothing").returncode == 127
    assert lstore.call("exec", host, "/etc").returncode == 126
    assert lstore.call("exec", "-w", "/no/such", host, "true").returncode == 125
    assert lstore.call("exec", "-u", "nobody-at-all", host, "true").returncode == 125


def test_the_launcher_s_own_program_is_refused(lstore: Lstore, host: str) -> None:
    lstore("exec", host, "ln", "-s", "/proc/self/exe", "/trap")

    done = lstore.call("exec", host, "/trap")

    assert done.returncode == 126
    assert "leads through /proc" in done.stderr


def test_a_working_directory_outside_is_refused(lstore: Lstore, host: str) -> None:
    assert "cannot change to the working directory" in lstore.refused(
        "exec", "-w", "/proc/self/fd/3", host, "pwd"
    )


def test_detached_it_goes_on_by_itself(lstore: Lstore, host: str) -> None:
    lstore("exec", "-d", host, "sh", "-c", "echo $$ > /pid; exec sleep 500")

    found = lstore(
        "exec", host, "sh", "-c", "until test -s /pid; do sleep 0.02; done; cat /proc/$(cat /pid)/cmdline"
    )

    assert found.replace("\0", " ").split()[-1] in ("500", "/pid")


def test_privileged_it_has_every_capability_that_we_have(lstore: Lstore, host: str) -> None:
    ours = next(
        line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapEff")
    )

    theirs = lstore("exec", "--privileged", host, "grep", "CapEff", "/proc/self/status")

    assert int(theirs.split()[1], 16) == int(ours.split()[1], 16)


def test_signals_reach_it(lstore: Lstore, host: str) -> None:
    script = "trap 'exit 5' TERM; echo ready; while :; do sleep 0.05; done"

    with lstore.under_way("exec", host, "sh", "-c", script) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == b"ready\n"
        client.send_signal(signal.SIGTERM)
        assert client.wait(60) == 5


def test_it_ends_with_the_container(lstore: Lstore, host: str) -> None:
    with lstore.under_way("exec", host, "sh", "-c", "echo ready; while :; do sleep 0.05; done") as client:
        assert client.stdout is not None
        client.stdout.readline()
        lstore("kill", host)
        assert client.wait(60) == 137


def test_what_does_not_run_takes_no_process(lstore: Lstore) -> None:
    lstore("create", "--name", "still", "busybox")

    assert "cannot execute in still: it is not running" in lstore.refused("exec", "still", "true")
