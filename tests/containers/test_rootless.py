"""An ordinary user's containers: with one id, and with subordinate ones."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from fixtures.command import REPOSITORY
from tests.containers.conftest import Lstore

pytestmark = pytest.mark.root  # to become that user

UID = 54322
FIRST_SUBORDINATE = 800000
BECOME = ("setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "--inh-caps=-all")


def open_python() -> str:
    """An interpreter of our version that the user can start, and that finds this checkout."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    code = f"import os, sys, ctypes; open({str(REPOSITORY / 'runner' / 'launch.py')!r}); open({click.__file__!r});"
    code += "os.execv(sys.executable, [sys.executable, '-c', ''])"
    for candidate in (sys.executable, f"/usr/bin/{version}", f"/usr/local/bin/{version}"):
        command = [*BECOME, candidate, "-I", "-c", code]
        if (
            os.path.exists(candidate)
            and not subprocess.run(command, check=False, capture_output=True).returncode
        ):
            return candidate
    pytest.skip("this checkout or its interpreter is closed to other users")


class Users(Lstore):
    """The command line as the user, who could not write what coverage measures."""

    @property
    def environment(self) -> dict[str, str]:
        return {name: value for name, value in super().environment.items() if not name.startswith("COVERAGE")}


@pytest.fixture(scope="module")
def users_home(busybox_layout: Path) -> Iterator[Path]:
    """A directory of the user's, with a store in which busybox is.

    Not one of pytest's: each run of it closes the directory above them to others.
    """
    home = Path(tempfile.mkdtemp(prefix="lstore-user-"))
    shutil.copytree(busybox_layout, home / "layout")
    for directory, _, names in os.walk(home):
        for name in (".", *names):
            os.chown(os.path.join(directory, name), UID, UID)
    Users(home / "store", BECOME, open_python())("load", "-q", "-i", str(home / "layout"))
    yield home
    shutil.rmtree(home)


@pytest.fixture(params=["single", "subordinate"])
def user(request: pytest.FixtureRequest, users_home: Path) -> Iterator[Users]:
    """The user without, and with, subordinate ids: the files that grant them are bound over this machine's."""
    prefix: tuple[str, ...] = BECOME
    if request.param == "subordinate":
        files = {
            "passwd": f"tester:x:{UID}:{UID}::/:/bin/sh\n",
            "subuid": f"tester:{FIRST_SUBORDINATE}:65536\n",
            "subgid": f"{UID}:{FIRST_SUBORDINATE}:65536\n",
        }
        for name, text in files.items():
            (users_home / name).write_text(text)
        binds = " && ".join(f"mount --bind {users_home}/{name} /etc/{name}" for name in files)
        prefix = ("unshare", "--mount", "sh", "-c", f'{binds} && exec "$@"', "sh", *BECOME)
    made = Users(users_home / "store", prefix, open_python())
    yield made
    left = made("ps", "-aq").split()
    if left:
        made("rm", "-f", *left)
    assert made.leftovers() == []


def test_the_whole_life_of_a_container(user: Users) -> None:
    user.detached(
        "--name", "mine", "busybox", "sh", "-c", "echo up; trap 'exit 2' TERM; while :; do sleep 0.05; done"
    )
    user.wait_for_line("mine", "up")

    assert user("exec", "mine", "id", "-u") == "0"
    assert user("ps", "--format", "{{.Names}} {{.State}}") == "mine running"
    user("restart", "mine")
    user("stop", "mine")

    assert user("wait", "mine") == "2"
    assert user.call("run", "--rm", "busybox", "sh", "-c", "exit 5").returncode == 5


def test_files_go_in_and_out(user: Users, users_home: Path) -> None:
    user.detached(
        "--name", "files", "busybox", "sh", "-c", "mkdir -m 700 /deep; echo in > /deep/file; sleep 1000"
    )
    user("exec", "files", "sh", "-c", "until test -s /deep/file; do sleep 0.02; done")

    for _ in ("running", "stopped"):
        assert user("cp", "files:/deep/file", "-").count("in") == 1
        user("cp", str(users_home / "layout" / "oci-layout"), "files:/deep/copied")
        assert "A /deep/file" in user("diff", "files").splitlines()
        user("stop", "-t", "0", "files")

    assert user.call("export", "files").stdout.count("oci-layout") == 0
    user("commit", "files", "made:1")
    assert user("run", "--rm", "made:1", "cat", "/deep/copied").startswith('{"imageLayoutVersion"')


def test_the_host_s_shared_memory_is_the_container_s_where_asked(user: Users) -> None:
    with tempfile.NamedTemporaryFile(dir="/dev/shm") as shared:
        shared.write(b"of the host")
        shared.flush()
        os.chmod(shared.name, 0o644)
        script = f"readlink /proc/self/ns/ipc; cat {shared.name}"

        output = user("run", "--rm", "--ipc", "host", "busybox", "sh", "-c", script)

    assert output.splitlines() == [os.readlink("/proc/self/ns/ipc"), "of the host"]


def test_the_host_s_processes_are_not_shared(user: Users) -> None:
    assert "cannot share the host's processes without root" in user.refused(
        "run", "--rm", "--pid", "host", "busybox", "true"
    )


def test_a_killed_monitor_is_cleaned_up(user: Users) -> None:
    user.detached("--name", "orphan", "busybox", "sleep", "1000")

    os.kill(user.monitors()[0], 9)
    user("wait", "orphan")

    assert user("ps", "-a", "--format", "{{.State}}") == "exited"


def test_what_another_user_wrote_can_be_removed(user: Users) -> None:
    if user.prefix == BECOME:
        pytest.skip("without subordinate ids there is no other user")

    user(
        "run",
        "--name",
        "other",
        "-u",
        "1000",
        "busybox",
        "sh",
        "-c",
        "mkdir -m 700 /tmp/d; echo x > /tmp/d/f",
    )

    assert "A /tmp/d/f" in user("diff", "other").splitlines()
    user("rm", "other")
