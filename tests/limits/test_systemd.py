"""Asking systemd for a scope, with a stand-in that listens where systemd does."""

import os
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from layerstore.errors import LaunchError, MissingFeature
from runner.cgroups import Group, systemd
from runner.cgroups.delegation import ASIDE, base, is_delegated
from runner.cgroups.host import Host

pytestmark = pytest.mark.root


def header(kind: int, body: bytes = b"") -> bytes:
    """A message with an empty header."""
    return struct.pack("<cBBBIII", b"l", kind, 0, 1, len(body), 1, 0) + body


class Systemd:
    """Answers one client: its messages, and what to do about the process that is to be moved."""

    def __init__(self, path: Path, answer: bytes, group: Path | None = None) -> None:
        self.path, self.answer, self.group = path, answer, group
        self.heard = b""
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        self._server.listen()
        self.thread = threading.Thread(target=self._serve, daemon=True)

    def _serve(self) -> None:
        connection, _ = self._server.accept()
        with connection, self._server:
            greeting = connection.recv(512)
            connection.sendall(b"OK 0123\r\n" if b"AUTH EXTERNAL 30\r\n" in greeting else b"REJECTED\r\n")
            while b"PIDs" not in self.heard:
                piece = connection.recv(4096)
                if not piece:
                    return
                self.heard += piece
            if self.group is not None:
                (pid,) = struct.unpack("<I", self.heard.split(b"\2au\0", 1)[1].lstrip(b"\0")[-12:-8])
                (self.group / "cgroup.procs").write_text(str(pid))
            connection.sendall(header(4) + self.answer)  # a signal first


@contextmanager
def listening(path: Path, answer: bytes, group: Path | None = None) -> Iterator[Systemd]:
    stand_in = Systemd(path, answer, group)
    stand_in.thread.start()
    yield stand_in
    stand_in.thread.join(timeout=30)


@pytest.fixture
def group() -> Iterator[Path]:
    """An empty group of version 2, of this test alone."""
    rows = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    root = next((Path(row[1]) for row in rows if row[2] == "cgroup2"), None)
    if root is None:
        pytest.skip("no control groups of version 2")
    path = root / f"lstore-test-{os.urandom(4).hex()}"
    path.mkdir()
    yield path
    Group(2, (("cgroup", str(path)),)).remove()


@pytest.fixture
def sleeper() -> Iterator[int]:
    """A process to be moved."""
    with subprocess.Popen(["sleep", "1000"]) as process:
        yield process.pid
        process.kill()


def test_the_call_has_the_wire_format_s_lengths_and_alignment() -> None:
    message = systemd.start_message("lstore-x.scope", 42)

    body, fields = struct.unpack("<I", message[4:8])[0], struct.unpack("<I", message[12:16])[0]
    assert len(message) == 16 + -(-fields // 8) * 8 + body
    start = message[-body:]
    assert start.startswith(struct.pack("<I", 14) + b"lstore-x.scope\0\0" + struct.pack("<I", 4) + b"fail\0")
    assert (start.count(b"Delegate"), start.count(b"PIDs")) == (1, 1)
    assert struct.pack("<II", 4, 42) in start


def test_a_process_is_in_its_scope_when_the_call_returns(tmp_path: Path, group: Path, sleeper: int) -> None:
    with listening(tmp_path / "s", header(2), group) as stand_in:
        systemd.start_scope("lstore-x.scope", sleeper, str(tmp_path / "s"))

    assert str(sleeper) in (group / "cgroup.procs").read_text().split()
    assert b"StartTransientUnit" in stand_in.heard


def test_a_refusal_says_why(tmp_path: Path, sleeper: int) -> None:
    text = b"Unit exists already"
    answer = header(3, struct.pack("<I", len(text)) + text + b"\0")

    with listening(tmp_path / "s", answer), pytest.raises(MissingFeature, match="unit exists already"):
        systemd.start_scope("lstore-x.scope", sleeper, str(tmp_path / "s"))


def test_nobody_listening_is_a_launch_error(tmp_path: Path) -> None:
    with pytest.raises(LaunchError, match="cannot reach systemd"):
        systemd.start_scope("lstore-x.scope", os.getpid(), str(tmp_path / "nobody"))


def test_in_a_delegated_group_the_process_steps_aside(group: Path) -> None:
    """Runs in a process of its own, since it moves."""
    os.setxattr(group, "trusted.delegate", b"1")
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            (group / "cgroup.procs").write_text("0")
            first = base(Host(2, (), str(group)), "lstore-x")
            again = base(Host(2, (), f"{group}/{ASIDE}"), "lstore-x")
            moved = (group / ASIDE / "cgroup.procs").read_text().split() == [str(os.getpid())]
            status = 0 if first == again == str(group) and moved else 2
        finally:
            os._exit(status)

    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert is_delegated(str(group))


def test_a_group_that_others_are_in_is_left_as_it_is(group: Path, sleeper: int) -> None:
    os.setxattr(group, "trusted.delegate", b"1")
    (group / "cgroup.procs").write_text(str(sleeper))

    assert base(Host(2, (), str(group)), "lstore-x") == str(group)
    assert (group / "cgroup.procs").read_text().split() == [str(sleeper)]
