"""`run` in a process of its own: status, streams, and docker's statuses for what could not start."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, busybox_layout: Path) -> Path:
    """A store with busybox in it."""
    root = tmp_path_factory.mktemp("run") / "store"
    call(root, "load", "-q", "-i", str(busybox_layout)).check_returncode()
    return root


def call(root: Path, *arguments: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "lstore", "--root", str(root), *arguments]
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "GIVEN": "from outside"}
    return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, env=environment)


@pytest.mark.parametrize(
    ("arguments", "status", "out"),
    [
        (["busybox", "echo", "hello"], 0, "hello\n"),
        (["busybox", "sh", "-c", "exit 7"], 7, ""),
        (["busybox", "sh", "-c", "sh -c 'kill -9 $$'; exit $?"], 137, ""),
        (
            ["-e", "A=1", "-e", "GIVEN", "-e", "NO", "busybox", "sh", "-c", "echo $A $GIVEN ${NO-none}"],
            0,
            "1 from outside none\n",
        ),
        (["-w", "/tmp/x", "-h", "box", "busybox", "sh", "-c", "pwd; hostname"], 0, "/tmp/x\nbox\n"),
        (["-u", "1000:1000", "busybox", "id", "-u"], 0, "1000\n"),
        (["--entrypoint", "echo", "busybox", "-n", "x"], 0, "x"),
        (["--read-only", "busybox", "sh", "-c", "echo x > /x || echo refused"], 0, "refused\n"),
        (["busybox", "cat"], 0, ""),
        (["-i", "busybox", "cat"], 0, "typed"),
    ],
)
def test_what_runs_gives_its_output_and_status(
    store: Path, arguments: list[str], status: int, out: str
) -> None:
    result = call(store, "run", "--rm", *arguments, stdin="typed")

    assert (result.returncode, result.stdout) == (status, out)


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--rm", "busybox", "/nothing"], 127, "cannot find /nothing"),
        (["--env-file", "/nothing/env", "busybox", "true"], 125, "cannot read /nothing/env: no such file"),
        (["--rm", "--cidfile", "/nothing/id", "busybox", "true"], 125, "/nothing/id: no such file"),
        (["--rm", "busybox", "/etc"], 126, "/etc"),
        (["--rm", "--pull", "never", "absent:1"], 125, "no such image: absent:1"),
        (["--rm", "-it", "busybox"], 125, "the input device is not a TTY"),
        (["--rm", "--restart", "always", "busybox"], 125, "cannot both restart a container and remove it"),
        (["--rm", "-e", "=x", "busybox"], 125, "invalid environment variable"),
        (["--rm", "--network", "bridge", "busybox"], 125, "--network"),
    ],
)
def test_what_cannot_run_is_one_line_with_dockers_status(
    store: Path, arguments: list[str], status: int, message: str
) -> None:
    result = call(store, "run", *arguments)

    assert result.returncode == status
    assert result.stdout == ""
    first, *rest = result.stderr.splitlines()
    assert first.startswith("lstore: ")
    assert message in first
    assert len(rest) <= 1


def test_nothing_is_left_of_a_container(store: Path) -> None:
    call(store, "run", "--rm", "busybox", "touch", "/left")

    assert (
        "Containers|0|0B"
        in call(store, "system", "df", "--format", "{{.Type}}|{{.TotalCount}}|{{.Size}}").stdout
    )
    assert str(store) not in Path("/proc/mounts").read_text()


def test_starting_a_container_imports_nothing_heavy(store: Path) -> None:
    script = (
        "import sys\n"
        "from lstore.cli.main import run\n"
        "from lstore.cli.settings import streams\n"
        f"run(['--root', {str(store)!r}, 'run', '--rm', 'busybox', 'true'], streams(), {{}})\n"
        "print(*sys.modules)"
    )

    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    imported = result.stdout.split()
    assert "lstore.engine.containers.launch" in imported
    heavy = ("requests", "rich", "cryptography", "zstandard", "isal")
    assert [name for name in heavy if name in imported] == []
