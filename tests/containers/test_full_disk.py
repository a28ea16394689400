"""A disk without room for a container's state: containers go on or end as they should, and every command is true."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.log_file import LogFile
from tests.containers.conftest import Lstore, kill

pytestmark = pytest.mark.root

WAIT = ("busybox", "sh", "-c", "trap 'exit 5' TERM; trap 'exit 3' USR1; while :; do sleep 0.05; done")
PAGE = os.sysconf("SC_PAGE_SIZE")


class Disk:
    """A tmpfs with a store that has busybox in it."""

    def __init__(self, place: Path, layout: Path) -> None:
        self.place = place
        place.mkdir()
        self._mount("-t", "tmpfs", "-o", "size=64m", "none")
        self.lstore = Lstore(place / "store")
        self.lstore("load", "-q", "-i", str(layout))

    def _mount(self, *words: str) -> None:
        subprocess.run(["mount", *words, str(self.place)], check=True)

    def fill(self) -> None:
        """Let there be no room for a page."""
        found = os.statvfs(self.place)
        used = (found.f_blocks - found.f_bfree) * found.f_frsize
        self._mount("-o", f"remount,size={used}")
        with pytest.raises(OSError, match="No space left"):
            (self.place / "more").write_bytes(b"x" * PAGE)
        (self.place / "more").unlink()

    def make_room(self) -> None:
        self._mount("-o", "remount,size=64m")

    def running(self, name: str, *options: str) -> Path:
        """The directory of a container that runs; what it removes at its end makes no room."""
        self.lstore.detached("--name", name, *options, *WAIT)
        self.lstore("exec", name, "sh", "-c", "kill -0 1")  # its shell is there
        home = self.lstore.home(name)
        if (home / "cgroup").exists():
            os.link(home / "cgroup", home / "kept")
        return home

    def state(self, name: str) -> object:
        return self.lstore.inspect(
            name, "[{{json .State.Status}}, {{.State.ExitCode}}, {{json .State.Error}}]"
        )


@pytest.fixture
def disk(tmp_path: Path, busybox_layout: Path) -> Iterator[Disk]:
    made = Disk(tmp_path / "disk", busybox_layout)
    yield made
    made.make_room()
    names = made.lstore("ps", "-aq").split()
    if names:
        made.lstore("rm", "-f", *names)
    assert made.lstore.monitors() == []
    subprocess.run(["umount", str(made.place)], check=True)


def test_how_a_container_ended_is_known_though_there_was_no_room_to_write_it(disk: Disk) -> None:
    home = disk.running("ending")
    disk.fill()

    disk.lstore("kill", "-s", "USR1", "ending")
    status = disk.lstore("wait", "ending")
    shown = disk.lstore.call("ps", "-a", "--format", "{{.Names}} {{.Status}}")

    assert disk.lstore.state(home)["status"] == "running"  # what is written is old
    assert status == "3"
    assert shown.stdout.startswith("ending Exited (3)")
    assert shown.stderr == ""
    assert disk.state("ending") == ["exited", 3, ""]
    assert disk.lstore("wait", "ending") == "3"


def test_after_such_an_end_it_starts_again_once_there_is_room(disk: Disk) -> None:
    disk.running("again")
    disk.fill()
    disk.lstore("kill", "-s", "USR1", "again")
    disk.lstore("wait", "again")

    refused = disk.lstore.call("start", "again")
    in_between = disk.state("again")
    disk.make_room()
    disk.lstore("start", "again")

    assert (refused.returncode != 0, "no space left" in refused.stderr) == (True, True), refused
    assert in_between == ["exited", 3, ""]
    assert disk.state("again") == ["running", 0, ""]
    assert disk.lstore("exec", "again", "echo", "here") == "here"


def test_stop_and_rm_need_no_room(disk: Disk) -> None:
    home = disk.running("stopped", "--restart", "always")
    disk.fill()

    disk.lstore("stop", "stopped")
    after_stop = disk.state("stopped")
    disk.fill()
    disk.lstore("rm", "stopped")

    assert after_stop == ["exited", 5, ""]
    assert not home.exists()


def test_what_is_to_be_removed_at_its_end_is_removed(disk: Disk) -> None:
    home = disk.running("passing", "--rm")
    disk.fill()

    disk.lstore("stop", "passing")

    assert not home.exists()
    assert disk.lstore("ps", "-aq") == ""


def test_a_pause_that_cannot_be_written_down_is_none(disk: Disk) -> None:
    disk.running("paused")
    disk.fill()

    refused = disk.lstore.call("pause", "paused")

    assert refused.returncode != 0
    assert "no space left on device" in refused.stderr
    assert disk.lstore("exec", "paused", "echo", "goes on") == "goes on"
    assert disk.state("paused") == ["running", 0, ""]
    disk.make_room()
    disk.lstore("pause", "paused")
    disk.fill()
    assert "no space left on device" in disk.lstore.refused("unpause", "paused")
    assert disk.state("paused") == ["paused", 0, ""]
    disk.make_room()
    disk.lstore("unpause", "paused")
    assert disk.lstore("exec", "paused", "echo", "goes on") == "goes on"


def test_what_could_not_be_written_is_written_as_soon_as_there_is_room(disk: Disk) -> None:
    """The second check that fails does not end, so nothing but the room itself lets the first be written."""
    count = "$(wc -l < /dev/shm/bad)"
    check = (
        f"test -e /dev/shm/bad || exit 0; echo x >> /dev/shm/bad; test {count} -lt 2 || sleep 1000; exit 1"
    )
    home = disk.running(
        "checked", "--health-cmd", check, "--health-interval", "0.1s", "--health-retries", "1"
    )
    disk.lstore.until(home, lambda state: state["health"] == "healthy")
    disk.fill()

    disk.lstore(
        "exec", "checked", "sh", "-c", f": > /dev/shm/bad; until test {count} -ge 2; do sleep 0.05; done"
    )
    while_full = disk.lstore.state(home)["health"]
    disk.make_room()

    assert while_full == "healthy"
    disk.lstore.until(home, lambda state: state["health"] == "unhealthy")
    assert disk.lstore("ps", "--format", "{{.Status}}").endswith("(unhealthy)")


def test_a_monitor_that_was_killed_is_noticed_on_a_full_disk(disk: Disk) -> None:
    home = disk.running("killed")
    disk.fill()
    (monitor,) = disk.lstore.monitors()
    kill(monitor)

    first = disk.lstore.call("ps", "-a", "--format", "{{.Status}}")
    second = disk.lstore.call("ps", "-a", "--format", "{{.Status}}")

    assert first.stdout.startswith("Exited (137)")
    assert "was killed" in first.stderr
    assert (second.stdout[:12], second.stderr) == ("Exited (137)", "")
    assert disk.lstore.state(home)["status"] == "running"


def test_nothing_runs_that_nobody_would_know_of(disk: Disk) -> None:
    home = disk.running("unknown")
    disk.lstore("stop", "unknown")
    disk.fill()

    refused = disk.lstore.call("start", "unknown")

    assert (refused.returncode, refused.stdout) == (1, ""), refused
    assert refused.stderr.splitlines()[0].endswith("no space left on device")
    assert disk.lstore.monitors() == []
    assert disk.state("unknown") == ["exited", 5, ""]
    assert home.exists()


def test_a_log_without_room_for_its_next_file_goes_on_in_the_present_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = LogFile(str(tmp_path), max_size=200, max_files=3)
    log.write("stdout", b"first\n")
    canary = tmp_path / "canary"
    real = os.open

    def full(path: str, flags: int, mode: int = 0o777) -> int:
        if path.endswith(".new"):
            raise OSError(28, "No space left on device", path)
        return real(path, flags, mode)

    monkeypatch.setattr(os, "open", full)
    log.write("stdout", b"lost\n" * 10)
    fd = real(canary, os.O_RDWR | os.O_CREAT)  # what a closed file's number would go to
    log.write("stdout", b"x\n" * 10)
    monkeypatch.undo()
    log.write("stdout", b"last\n")

    os.close(fd)
    log.close()
    assert canary.read_bytes() == b""
    assert "last" in (tmp_path / "log").read_text()
    assert "first" in (tmp_path / "log.1").read_text()
