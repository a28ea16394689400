"""`Lstore`: the command line as processes over a store of its own, with busybox in it and no container left behind."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from fixtures.command import CommandLine
from runner.watch import Watch

PATIENCE = 60
SOON = 15  # less than the defaults of health checks take


class Lstore(CommandLine):
    """The command line over one store, and what the store has of containers."""

    def __init__(self, root: Path, prefix: Sequence[str] = (), python: str = sys.executable) -> None:
        super().__init__(root, prefix, python)
        self.variables = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}

    def bytes(self, *arguments: str) -> bytes:
        """What it writes; it must succeed."""
        command = self.command(*arguments)
        done = subprocess.run(
            command, capture_output=True, check=True, env=self.environment, timeout=PATIENCE
        )
        return done.stdout

    def refused(self, *arguments: str) -> str:
        """The error of what must fail."""
        done = self.call(*arguments)
        assert done.returncode != 0, done
        return done.stderr

    @contextmanager
    def under_way(self, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
        """A process with pipes; killed, if it is there yet, at the end of the block."""
        process = subprocess.Popen(
            self.command(*arguments),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.environment,
        )
        with process:
            try:
                yield process
            finally:
                process.kill()

    def detached(self, *arguments: str) -> str:
        """The id of a container that was started in the background."""
        return self("run", "-d", *arguments)

    def inspect(self, name: str, form: str = "{{json .}}") -> object:
        return json.loads(self("inspect", "--type", "container", "--format", form, name))

    def home(self, name: str) -> Path:
        return self.root / "containers" / self("inspect", "--type", "container", "--format", "{{.Id}}", name)

    def state(self, home: Path) -> dict[str, object]:
        """The state as it is on disk."""
        found: dict[str, object] = json.loads((home / "state").read_text())
        return found

    def until(self, home: Path, holds: Callable[[dict[str, object]], bool]) -> dict[str, object]:
        """The first state on disk of which that holds; it must come soon."""
        deadline = time.monotonic() + SOON
        with Watch(str(home)) as watch:
            while not holds(state := self.state(home)):
                assert watch.wait(max(0.0, deadline - time.monotonic())), state
        return state

    def wait_for_line(self, name: str, line: str) -> None:
        """Follow the log of a container until `line` is in it."""
        with self.under_way("logs", "-f", name) as follower:
            assert follower.stdout is not None
            assert any(each.decode().strip() == line for each in follower.stdout)

    def monitors(self) -> list[int]:
        """The process ids of this store's monitors."""
        mine = []
        for home in (self.root / "containers").glob("[0-9a-f]*"):
            mine += [pid for pid in pids() if str(home / "monitor") in open_files(pid)]
        return mine

    def leftovers(self) -> list[str]:
        """What is there of containers, beside the log of events and the images that are ready."""
        found = [
            str(path)
            for path in (self.root / "containers").glob("*")
            if not path.name.removeprefix(".tmp-").startswith(("names", "events", "ready"))
        ]
        for directory in ("containers/names", "snapshots/active"):
            found += [str(path) for path in (self.root / directory).glob("*")]
        mounts = Path("/proc/self/mountinfo").read_text()
        return found + [line for line in mounts.splitlines() if str(self.root) in line]


def pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def open_files(pid: int) -> list[str]:
    try:
        return [os.readlink(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")]
    except OSError:
        return []


def kill(pid: int) -> None:
    """SIGKILL, and wait until the process is gone or a zombie."""
    pidfd = os.pidfd_open(pid)
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    select.select([pidfd], [], [])
    os.close(pidfd)


@pytest.fixture(scope="session")
def shared_store(tmp_path_factory: pytest.TempPathFactory, busybox_layout: Path) -> Path:
    """A store with busybox in it, and no container."""
    root = tmp_path_factory.mktemp("containers") / "store"
    Lstore(root)("load", "-q", "-i", str(busybox_layout))
    return root


@pytest.fixture
def lstore(shared_store: Path) -> Iterator[Lstore]:
    """Over a store that other tests use one after the other: each leaves no container."""
    made = Lstore(shared_store)
    yield made
    left = made("ps", "-aq").split()
    if left:
        made("rm", "-f", *left)
    assert made.leftovers() == []
