"""Files of containers with ids of their own (--userns remap): outside they are seen with the ids inside."""

import io
import tarfile
from pathlib import Path

import pytest

from tests.containers.conftest import Lstore

pytestmark = pytest.mark.root

FIRST = 1_000_000
SCRIPT = "echo mine > /mine; echo theirs > /theirs; chown 7:8 /theirs; rm -r /home; mkdir /home; echo ready; sleep 1000"
BIND = 'touch /etc/subuid /etc/subgid; for f in subuid subgid; do mount --bind $0 /etc/$f; done; exec "$@"'


@pytest.fixture(params=["running", "stopped"])
def box(request: pytest.FixtureRequest, lstore: Lstore, tmp_path: Path) -> str:
    """A container with the ids from a million up, which has written as root and as 7:8."""
    ids = tmp_path / "ids"
    ids.write_text(f"lstore:{FIRST}:65536\n")
    mapped = Lstore(lstore.root, ("unshare", "-m", "sh", "-c", BIND, str(ids)))
    mapped.detached("--name", "box", "--userns", "remap", "busybox", "sh", "-c", SCRIPT)
    lstore.wait_for_line("box", "ready")
    if request.param == "stopped":
        lstore("stop", "-t", "0", "box")
    return "box"


def owners(archive: bytes) -> dict[str, tuple[int, int]]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {member.name.removeprefix("./"): (member.uid, member.gid) for member in tar}


def test_cp_shows_the_ids_inside(lstore: Lstore, box: str) -> None:
    found = {
        path: owners(lstore.bytes("cp", f"box:/{path}", "-"))[path] for path in ("mine", "theirs", "bin")
    }

    assert found == {"mine": (0, 0), "theirs": (7, 8), "bin": (0, 0)}


def test_what_is_copied_in_belongs_to_the_root_inside(lstore: Lstore, box: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("content")

    lstore("cp", str(tmp_path / "file"), "box:/file")
    lstore("cp", str(tmp_path / "file"), "box:/bin/file")

    (upper,) = (lstore.root / "snapshots" / "active").glob("*/upper")
    assert [(upper / name).stat().st_uid for name in ("file", "bin/file", "theirs")] == [
        FIRST,
        FIRST,
        FIRST + 7,
    ]
    assert owners(lstore.bytes("cp", "box:/file", "-")) == {"file": (0, 0)}


def test_export_and_commit_have_the_ids_inside(lstore: Lstore, box: str) -> None:
    exported = owners(lstore.bytes("export", "box"))
    lstore("commit", "box", "mapped:1")
    stat = ("stat", "-c", "%u:%g", "/mine", "/theirs", "/bin/busybox", "/home")
    inside = lstore("run", "--rm", "mapped:1", *stat)
    lstore("rmi", "mapped:1")

    assert [exported[name] for name in ("mine", "theirs", "bin/busybox")] == [(0, 0), (7, 8), (0, 0)]
    assert inside.split() == ["0:0", "7:8", "0:0", "0:0"]


def test_diff_tells_only_what_changed(lstore: Lstore, box: str) -> None:
    changes = lstore("diff", "box").splitlines()

    assert {"A /mine", "A /theirs"} <= set(changes)
    assert [line for line in changes if line.endswith(("/bin", "/etc", "/"))] == []


def test_what_never_started_can_be_filled(lstore: Lstore, tmp_path: Path) -> None:
    (tmp_path / "ids").write_text(f"lstore:{FIRST}:65536\n")
    (tmp_path / "file").write_text("content")
    mapped = Lstore(lstore.root, ("unshare", "-m", "sh", "-c", BIND, str(tmp_path / "ids")))
    mapped("create", "--name", "new", "--userns", "remap", "busybox", "stat", "-c", "%u:%g", "/file", "/")

    lstore("cp", str(tmp_path / "file"), "new:/file")

    assert lstore("start", "-a", "new").split() == ["0:0", "0:0"]
