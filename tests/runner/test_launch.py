"""Real containers: what a process sees, how it ends, and that nothing is left of it."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fixtures.containers import Containers, Outcome

pytestmark = pytest.mark.root

NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "uts")
DOCKER_CAPABILITIES = "00000000a80425fb"


def namespaces_inside(containers: Containers, network: str) -> dict[str, str]:
    lines = containers.sh(
        "for n in cgroup ipc mnt net pid uts; do echo $n $(readlink /proc/self/ns/$n); done", network=network
    )
    return dict(line.split() for line in lines.splitlines())


def mounts_inside(text: str) -> dict[str, tuple[set[str], str]]:
    """Mount point → (mount's own options, file system type) from the text of mountinfo."""
    rows = [line.split() for line in text.splitlines()]
    return {row[4]: (set(row[5].split(",")), row[row.index("-") + 1]) for row in rows}


@pytest.mark.parametrize("status", [0, 1, 42, 125, 255])
def test_the_exit_status_is_the_process_s(containers: Containers, status: int) -> None:
    assert containers.run("sh", "-c", f"exit {status}") == Outcome(status, "", "")


def test_a_process_that_a_signal_ends_gives_128_and_its_number(containers: Containers) -> None:
    with containers.start("trap 'exit 3' TERM; echo ready; while :; do sleep 0.05; done") as launcher:
        assert launcher.stdout is not None
        launcher.stdout.readline()
        (first,) = children_of(launcher.pid)
        os.kill(first, signal.SIGKILL)

    assert launcher.returncode == 128 + signal.SIGKILL


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_command_that_is_nowhere_gives_127(containers: Containers) -> None:
    for command in ("no-such-command", "/no/such/command", "bin/sh/below-a-file"):
        outcome = containers.run(command)

        assert outcome.status == 127
        assert outcome.errors.startswith(f"LaunchError: cannot find {command}: ")


def test_a_command_that_cannot_be_executed_gives_126(containers: Containers) -> None:
    containers.image.joinpath("text").write_text("no program")
    containers.image.joinpath("garbage").write_text("no program")
    containers.image.joinpath("garbage").chmod(0o755)

    for command in ("/text", "/etc", "/garbage"):
        outcome = containers.run(command)

        assert outcome.status == 126, outcome
        assert outcome.errors.startswith(f"LaunchError: cannot execute {command}: ")


def test_a_script_whose_interpreter_is_missing_gives_127(containers: Containers) -> None:
    containers.image.joinpath("script").write_text("#!/no/interpreter\n")
    containers.image.joinpath("script").chmod(0o755)

    assert containers.run("/script").status == 127


def test_a_container_that_cannot_be_set_up_gives_125(containers: Containers) -> None:
    outcome = containers.run("true", mounts=[{"source": "/no/such/source", "target": "/mnt"}])

    assert outcome.status == 125
    assert "cannot mount /no/such/source at /mnt: no such file or directory" in outcome.errors


def test_every_namespace_is_new_and_the_network_only_where_it_is_asked_for(containers: Containers) -> None:
    outside = {name: os.readlink(f"/proc/self/ns/{name}") for name in NAMESPACES}

    alone = namespaces_inside(containers, "none")
    shared = namespaces_inside(containers, "host")

    assert [name for name in NAMESPACES if alone[name] == outside[name]] == []
    assert [name for name in NAMESPACES if shared[name] == outside[name]] == ["net"]


def test_without_a_network_there_is_a_loopback_interface_that_is_up(containers: Containers) -> None:
    names = containers.sh("ls /sys/class/net; ping -c 1 -W 5 127.0.0.1 > /dev/null; cat /etc/resolv.conf")

    assert names == "lo\n"


def test_the_host_s_network_comes_with_the_host_s_resolvers(containers: Containers) -> None:
    resolvers = Path("/etc/resolv.conf").read_text() if Path("/etc/resolv.conf").exists() else ""

    assert containers.sh("cat /etc/resolv.conf", network="host") == resolvers


def test_the_process_is_alone_and_the_first(containers: Containers) -> None:
    assert containers.sh("set -- /proc/[0-9]*; echo $$ $*") == "1 /proc/1\n"


def test_hostname_and_hosts_are_the_container_s(containers: Containers) -> None:
    output = containers.sh("hostname; cat /etc/hostname; grep -c localhost /etc/hosts", hostname="kitchen")

    assert output.split() == ["kitchen", "kitchen", "2"]
    assert os.uname().nodename != "kitchen"


def test_mounts_are_as_docker_has_them_and_no_other_is_there(containers: Containers) -> None:
    mounts = mounts_inside(containers.sh("cat /proc/self/mountinfo"))

    assert mounts["/"][1] == "overlay"
    assert mounts["/proc"] == ({"rw", "nosuid", "nodev", "noexec", "relatime"}, "proc")
    assert mounts["/sys"] == ({"ro", "nosuid", "nodev", "noexec", "relatime"}, "sysfs")
    assert mounts["/dev/pts"][1] == "devpts"
    assert mounts["/dev/shm"] == ({"rw", "nosuid", "nodev", "noexec", "relatime"}, "tmpfs")
    assert mounts["/dev/mqueue"][1] == "mqueue"
    allowed = ("/proc/", "/sys/", "/dev/", "/etc/")
    assert [point for point in mounts if not f"{point}/".startswith((*allowed, "//"))] == []


def test_nothing_of_the_control_groups_or_the_kernel_s_settings_can_be_written(
    containers: Containers,
) -> None:
    mounts = mounts_inside(containers.sh("cat /proc/self/mountinfo"))

    below = {point: options for point, (options, _) in mounts.items() if point.startswith("/sys/fs/cgroup")}
    assert below
    assert [point for point, options in below.items() if "ro" not in options] == []
    for path in ("/proc/sys/kernel/core_pattern", "/sys/kernel/uevent_seqnum"):
        assert "Read-only file system" in containers.run("sh", "-c", f"echo x > {path}").errors


def test_what_tells_of_the_host_is_masked(containers: Containers) -> None:
    script = (
        "for f in kcore keys timer_list interrupts sched_debug; do"
        " test ! -e /proc/$f || wc -c < /proc/$f; done; ls -A /sys/firmware /proc/acpi /proc/scsi 2>/dev/null"
    )

    output = containers.sh(script + "; true")

    assert set(output.split()) <= {"0", "/sys/firmware:", "/proc/acpi:", "/proc/scsi:"}


def test_devices_work_and_only_those(containers: Containers) -> None:
    output = containers.sh(
        "head -c 2 /dev/zero | wc -c; head -c 2 /dev/urandom | wc -c; echo x > /dev/null;"
        "test -c /dev/full; test -c /dev/random; test -c /dev/tty; test -c /dev/ptmx; echo x > /dev/stdout"
    )

    assert output.split() == ["2", "2", "x"]


def test_a_node_that_the_container_or_its_image_makes_opens_nothing(containers: Containers) -> None:
    os.mknod(containers.image / "kmsg", 0o666 | 0o020000, os.makedev(1, 11))

    for place in ("/tmp/n", "/dev/n", "/dev/shm/n"):
        outcome = containers.run("sh", "-c", f"mknod {place} c 1 11 && head -c 1 {place}")
        assert "Permission denied" in outcome.errors, outcome
    assert "Permission denied" in containers.run("head", "-c", "1", "/kmsg").errors


def test_changing_a_device_inside_changes_none_outside(containers: Containers) -> None:
    before = os.stat("/dev/null").st_mode

    assert containers.sh("chmod 600 /dev/null && stat -c %a /dev/null") == "600\n"

    assert os.stat("/dev/null").st_mode == before


def test_no_descriptor_of_the_host_gets_in(containers: Containers, tmp_path: Path) -> None:
    leaked = os.open(tmp_path, os.O_RDONLY)

    outcome = containers.run("sh", "-c", "ls /proc/self/fd", pass_fds=(leaked,))

    os.close(leaked)
    assert outcome == Outcome(0, "0\n1\n2\n3\n", "")  # 3 is what ls reads the directory by


def test_capabilities_are_docker_s_and_nothing_is_inheritable(containers: Containers) -> None:
    lines = containers.sh("grep ^Cap /proc/self/status")

    found = dict(line.split(":\t") for line in lines.splitlines())
    nothing = "0" * 16
    assert int(found["CapPrm"], 16) == int(found["CapEff"], 16) == int(DOCKER_CAPABILITIES, 16)
    assert found == {
        "CapInh": nothing,
        "CapPrm": DOCKER_CAPABILITIES,
        "CapEff": DOCKER_CAPABILITIES,
        "CapBnd": DOCKER_CAPABILITIES,
        "CapAmb": nothing,
    }


def test_another_user_has_no_capability_and_only_a_bound(containers: Containers) -> None:
    lines = containers.sh("grep ^Cap /proc/self/status", user="alice")

    found = dict(line.split(":\t") for line in lines.splitlines())
    assert found.pop("CapBnd") == DOCKER_CAPABILITIES
    assert set(found.values()) == {"0" * 16}


@pytest.mark.parametrize(
    ("user", "ids"),
    [
        ("", "0:0:0 10"),
        ("alice", "1000:1001:1001 10 50"),
        ("1000", "1000:1001:1001 10 50"),
        ("alice:staff", "1000:50:50"),
        ("4242", "4242:0:0"),
        ("4242:4343", "4242:4343:4343"),
    ],
)
def test_ids_and_groups_are_the_image_s(containers: Containers, user: str, ids: str) -> None:
    assert containers.sh("echo $(id -u):$(id -g):$(id -G)", user=user).strip() == ids


def test_signal_masks_and_ignored_signals_start_fresh(containers: Containers) -> None:
    lines = containers.sh("exec grep -E '^Sig(Blk|Ign|Cgt)' /proc/self/status")

    assert {line.split()[1] for line in lines.splitlines()} == {"0" * 16}


def test_the_environment_is_exactly_what_was_asked_for(containers: Containers) -> None:
    outcome = containers.run(
        "env",
        env=["GREETING=hello=you", "SECRET", "EMPTY=", "GREETING=bye", "=nameless"],
        environment={"SECRET": "of the host"},
    )

    assert sorted(outcome.output.splitlines()) == [
        "EMPTY=",
        "GREETING=bye",
        "HOME=/root",
        "HOSTNAME=box",
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    ]


def test_the_image_s_path_is_searched_and_never_the_working_directory(containers: Containers) -> None:
    for directory, word in (("opt", "opt"), ("work", "work")):
        containers.image.joinpath(directory).mkdir()
        tool = containers.image / directory / "tool"
        tool.write_text(f"#!/bin/sh\necho {word}\n")
        tool.chmod(0o755)

    found = containers.run("tool", env=["PATH=:/nowhere:/opt"], cwd="/work")
    missing = containers.run("tool", env=["PATH=::/nowhere"], cwd="/work")

    assert found.output == "opt\n"
    assert missing.status == 127


def test_the_working_directory_is_made_where_it_is_missing(containers: Containers) -> None:
    assert containers.sh("pwd; stat -c %u:%a .", cwd="/new/deep", user="alice") == "/new/deep\n0:755\n"


def test_a_read_only_root_takes_no_write_but_its_mounts_do(containers: Containers) -> None:
    outcome = containers.run(
        "sh",
        "-c",
        "touch /dev/shm/a /run/b && touch /c",
        is_read_only=True,
        mounts=[{"target": "/run"}],
        cwd="/made",
    )

    assert outcome.status == 1
    assert outcome.errors == "touch: /c: Read-only file system\n"


def test_bound_directories_and_files_are_shared_as_asked(containers: Containers, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "note").write_text("note")

    output = containers.run(
        "sh",
        "-c",
        "echo new > /data/new; cat /etc/note; touch /ro/x",
        mounts=[
            {"source": str(shared), "target": "/data"},
            {"source": str(shared / "note"), "target": "/etc/note"},
            {"source": str(shared), "target": "/ro", "is_read_only": True},
        ],
    )

    assert (output.output, output.errors) == ("note", "touch: /ro/x: Read-only file system\n")
    assert (shared / "new").read_text() == "new\n"


def test_signals_reach_the_process(containers: Containers) -> None:
    script = "trap 'echo term; exit 7' TERM; trap 'echo usr1' USR1; echo ready; while :; do sleep 0.05; done"

    with containers.start(script) as launcher:
        assert launcher.stdout is not None
        assert launcher.stdout.readline() == "ready\n"
        launcher.send_signal(signal.SIGUSR1)
        assert launcher.stdout.readline() == "usr1\n"
        launcher.send_signal(signal.SIGTERM)
        rest = launcher.stdout.read()

    assert (rest, launcher.returncode) == ("term\n", 7)


@pytest.mark.parametrize("user", ["", "alice"])
def test_a_killed_launcher_takes_everything_with_it(containers: Containers, user: str) -> None:
    """As another user, too: the kernel forgets whom to tell of a parent's death when ids change."""
    script = "sleep 1000 & echo ready; while :; do sleep 0.05; done"

    with containers.start(script, user=user) as launcher:
        assert launcher.stdout is not None
        launcher.stdout.readline()
        launcher.kill()
        # The pipe ends when the last process that holds it does: all of the container.
        assert launcher.stdout.read() == ""

    assert str(containers.scratch) not in Path("/proc/self/mountinfo").read_text()
    assert [*(containers.made[0] / "state" / "rootfs").iterdir()] == []


def test_nothing_is_left_after_an_ordinary_end(containers: Containers) -> None:
    containers.sh("echo changed > /file; sleep 1000 &")

    place = containers.made[0]
    assert str(containers.scratch) not in Path("/proc/self/mountinfo").read_text()
    assert [*(place / "state" / "rootfs").iterdir()] == [*(place / "state" / "devices").iterdir()] == []
    assert (place / "upper" / "file").read_text() == "changed\n"
    assert not (containers.base / "file").exists()


def test_no_mount_shows_outside_even_where_mounts_are_shared(containers: Containers) -> None:
    """As systemd has them. The shell after the launcher counts what arrived in the launcher's own namespace."""
    count = f'"$@"; grep -c {containers.scratch}/container /proc/self/mountinfo'
    containers.command = ("unshare", "--mount", "--propagation=shared", "sh", "-c", count, "sh")

    outcome = containers.run("grep", "-c", " / / ", "/proc/self/mountinfo")

    assert outcome.output == "1\n0\n", outcome


def test_containers_run_side_by_side(containers: Containers) -> None:
    with ThreadPoolExecutor(max_workers=8) as pool:
        futures = [
            pool.submit(containers.run, "sh", "-c", f"echo {number} > /n; cat /n") for number in range(16)
        ]
        outcomes = [future.result() for future in futures]

    assert outcomes == [Outcome(0, f"{number}\n", "") for number in range(16)]


def test_a_launcher_killed_while_it_starts_leaves_no_process(containers: Containers) -> None:
    for _ in range(10):
        with containers.start("while :; do sleep 0.05; done") as launcher:
            while not children_of(launcher.pid):
                os.sched_yield()
            launcher.kill()
            assert launcher.stdout is not None
            assert launcher.stdout.read() == ""


def test_a_launcher_without_standard_descriptors_still_gives_the_process_three(
    containers: Containers,
) -> None:
    containers.command = ("sh", "-c", 'exec "$@" <&- 2>&-', "sh")

    outcome = containers.run(
        "sh", "-c", "ls /proc/self/fd; readlink /proc/self/fd/0; readlink /proc/self/fd/2"
    )

    *descriptors, stdin, stderr = outcome.output.split()
    assert descriptors == ["0", "1", "2", "3"]
    assert (os.path.basename(stdin), os.path.basename(stderr)) == ("null", "null")
