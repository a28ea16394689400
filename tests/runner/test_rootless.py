"""Containers of a user without privilege: with one id, and with subordinate ones."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fixtures.containers import REPOSITORY, Containers

pytestmark = pytest.mark.root  # to become that user

UID = 54321
FIRST_SUBORDINATE = 700000


def own(path: Path) -> None:
    for directory, _, names in os.walk(path):
        for name in (".", *names):
            os.chown(os.path.join(directory, name), UID, UID, follow_symlinks=False)


@pytest.fixture(scope="session")
def users_busybox(busybox: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """busybox as the user has unpacked it, in directories that the user can enter."""
    root = tmp_path_factory.mktemp("user")
    subprocess.run(["cp", "-a", f"{busybox}/.", str(root)], check=True)
    own(root)
    open_the_way(root)
    return root


def open_the_way(path: Path) -> None:
    """pytest keeps its directories to root; let others pass through, not look."""
    for parent in path.parents[:3]:
        if parent.stat().st_uid == 0 and str(parent) not in ("/", "/tmp"):
            parent.chmod(parent.stat().st_mode | 0o011)


@pytest.fixture
def containers(users_busybox: Path, tmp_path: Path) -> Containers:
    """Overrides root's: a user who exists in no file of this machine, so that no subordinate id is theirs."""
    made = Containers(
        users_busybox,
        tmp_path,
        (
            # The user could not write what coverage measures.
            *("env", "--unset=COVERAGE_PROCESS_CONFIG", "--unset=COVERAGE_PROCESS_START"),
            *("setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "--inh-caps=-all"),
        ),
    )
    own(tmp_path)
    open_the_way(tmp_path)
    probe = [
        *made.command,
        sys.executable,
        "-I",
        "-c",
        f"import ctypes; open({str(REPOSITORY / 'runner' / 'launch.py')!r})",
    ]
    if subprocess.run(probe, check=False).returncode:
        pytest.skip("this checkout or its interpreter is closed to other users")
    return made


@pytest.fixture
def subordinate(containers: Containers, tmp_path: Path) -> Containers:
    """The same user with subordinate ids: the files that grant them are bound over this machine's, for it alone."""
    files = {
        "passwd": f"tester:x:{UID}:{UID}::/:/bin/sh\n",
        "subuid": f"tester:{FIRST_SUBORDINATE}:65536\n",
        "subgid": f"{UID}:{FIRST_SUBORDINATE}:65536\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    binds = " && ".join(f"mount --bind {tmp_path}/{name} /etc/{name}" for name in files)
    command = ("unshare", "--mount", "sh", "-c", f'{binds} && exec "$@"', "sh")
    containers.command = (*command, *containers.command)
    return containers


def test_an_ordinary_user_is_root_inside_and_owns_what_is_written(containers: Containers) -> None:
    output = containers.sh("echo $(id -u):$(id -g) $(cat /proc/self/uid_map); echo x > /file")

    assert output == f"0:0 0 {UID} 1\n"
    assert (containers.made[0] / "upper" / "file").stat().st_uid == UID


@pytest.mark.parametrize("network", ["none", "host"])
def test_the_kernel_s_file_systems_are_there_and_confined(containers: Containers, network: str) -> None:
    script = (
        "ls /sys/class/net; test -c /dev/null && test -d /proc/1 && test -d /dev/pts;"
        "echo x 2>/dev/null > /proc/sys/kernel/core_pattern || echo read-only; ls -A /sys/firmware | wc -l"
    )
    interfaces = ["lo"] if network == "none" else sorted(os.listdir("/sys/class/net"))

    output = containers.sh(script, network=network)

    assert output.split() == [*interfaces, "read-only", "0"]


def test_removing_a_file_of_the_image_leaves_the_image_alone(containers: Containers) -> None:
    assert containers.sh("rm /bin/true; ls /bin/true 2>&1 || true").endswith("No such file or directory\n")

    assert (containers.base / "bin" / "true").is_symlink()


def test_another_user_needs_subordinate_ids_and_is_told(containers: Containers) -> None:
    outcome = containers.run("id", user="alice")

    assert outcome.status == 125
    assert "cannot run as user 1000: without subordinate ids, root is the only user" in outcome.errors


def test_subordinate_ids_make_other_users(subordinate: Containers) -> None:
    output = subordinate.sh("id -u; id -G; echo x > /tmp/file", user="alice")

    assert output == "1000\n1001 10 50\n"
    written = (subordinate.made[0] / "upper" / "tmp" / "file").stat()
    assert (written.st_uid, written.st_gid) == (FIRST_SUBORDINATE + 999, FIRST_SUBORDINATE + 1000)


def test_a_user_past_the_subordinate_ids_is_an_error(subordinate: Containers) -> None:
    outcome = subordinate.run("id", user="70000")

    assert (outcome.status, "cannot run as user 70000" in outcome.errors) == (125, True)


def test_a_killed_launcher_takes_a_user_s_container_along(containers: Containers) -> None:
    with containers.start("echo ready; while :; do sleep 0.05; done") as launcher:
        assert launcher.stdout is not None
        launcher.stdout.readline()
        launcher.kill()

        assert launcher.stdout.read() == ""


def call_mapped(containers: Containers, code: str) -> subprocess.CompletedProcess[str]:
    """Runs `code` by way of `runner.mapped.call_mapped` as the user."""
    program = (
        f"import sys, os, shutil; sys.path.insert(0, {str(REPOSITORY)!r})\n"
        "from layerstore.errors import LaunchError\n"
        "from runner.mapped import call_mapped\n"
        "try: call_mapped(lambda: "
        f"{code})\n"
        "except LaunchError as error: sys.exit(str(error))"
    )
    command = [*containers.command, sys.executable, "-I", "-c", program]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_files_of_subordinate_ids_can_be_removed_by_their_user(subordinate: Containers) -> None:
    subordinate.sh("mkdir -m 700 /tmp/deep; echo x > /tmp/deep/file", user="alice")
    upper = subordinate.made[0] / "upper"

    done = call_mapped(subordinate, f"shutil.rmtree({str(upper)!r})")

    assert (done.returncode, done.stderr) == (0, "")
    assert not upper.exists()


def test_what_fails_among_mapped_ids_is_told(subordinate: Containers) -> None:
    done = call_mapped(subordinate, "os.rmdir('/no/such/directory')")

    assert done.returncode == 1
    assert "No such file or directory: '/no/such/directory'" in done.stderr


def test_a_limit_holds_or_is_refused(containers: Containers) -> None:
    """Whether a user has control groups is the host's matter; what is asked for is never silently left out."""
    outcome = containers.run(
        "sh", "-c", "for i in 1 2 3 4 5 6; do sleep 5 & done; echo all", limits={"pids": 4}
    )

    refused = "MissingFeature: cannot limit a container: we may make no control group here" in outcome.errors
    assert refused or "can't fork" in outcome.errors, outcome
    assert outcome.output == ""
