"""Cache mounts, out of one store and into another: judged by tar, and by what a step finds."""

import fcntl
import hashlib
import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from fixtures.builds import Builder

pytestmark = pytest.mark.root

FILL = """
FROM busybox
RUN --mount=type=cache,target=/c echo kept > /c/file && ln /c/file /c/second && ln -s file /c/link \\
    && chown 1234:5 /c/file && chmod 640 /c/file && mkdir /c/empty && touch -d '2001-02-03 04:05:06' /c/empty
"""
LOOK = """
FROM busybox
RUN --mount=type=cache,target=/c cat /c/link /c/second > /seen && stat -c '%u %g %a %h' /c/file >> /seen \\
    && stat -c %Y /c/empty >> /seen
"""


def exported(builder: Builder, path: Path, *ids: str) -> None:
    done = builder.call("builder", "export", "-o", str(path), *ids)
    assert done.returncode == 0, done.stderr


def mounts(builder: Builder) -> list[str]:
    shown = builder.call("builder", "du", "--format", "{{.Type}} {{.ID}}").stdout.splitlines()
    return [line.split()[1] for line in shown if line.startswith("exec.cachemount")]


def other(tmp_path: Path, busybox_layout: Path) -> Builder:
    (tmp_path / "other").mkdir()
    made = Builder(tmp_path / "other")
    made.call("load", "-q", "-i", str(busybox_layout)).check_returncode()
    return made


def test_a_cache_goes_to_another_store_with_all_that_is_in_it(
    lonely_builder: Builder, tmp_path: Path, busybox_layout: Path
) -> None:
    lonely_builder.image(FILL)
    archive = tmp_path / "caches.tar"
    exported(lonely_builder, archive)
    elsewhere = other(tmp_path, busybox_layout)

    taken = elsewhere.call("builder", "import", "-i", str(archive))

    listed = subprocess.run(["tar", "-tf", archive], check=True, capture_output=True, text=True).stdout
    assert {"about", "data/file", "data/link"} <= {line.partition("/")[2] for line in listed.splitlines()}
    assert taken.stdout.split() == mounts(elsewhere) == mounts(lonely_builder)
    image = elsewhere.image(LOOK)
    assert elsewhere.read(image, "/seen").splitlines() == ["kept", "kept", "1234 5 640 2", "981173106"]


def test_what_was_taken_is_pruned_like_any_other_and_what_is_here_stays(
    lonely_builder: Builder, tmp_path: Path, busybox_layout: Path
) -> None:
    lonely_builder.image(FILL)
    archive = tmp_path / "caches.tar"
    exported(lonely_builder, archive)
    elsewhere = other(tmp_path, busybox_layout)
    elsewhere.image("FROM busybox\nRUN --mount=type=cache,target=/c echo own > /c/file\n")

    again = elsewhere.call("builder", "import", "-i", str(archive))

    image = elsewhere.image("FROM busybox\nRUN --mount=type=cache,target=/c cat /c/file > /seen\n")
    assert "is here already" in again.stdout
    assert elsewhere.read(image, "/seen") == "own\n"
    elsewhere.call("builder", "prune", "-af").check_returncode()
    assert mounts(elsewhere) == []
    elsewhere.call("builder", "import", "-i", str(archive)).check_returncode()
    assert len(mounts(elsewhere)) == 1
    elsewhere.call("builder", "prune", "-af").check_returncode()
    assert mounts(elsewhere) == []


def test_one_cache_can_be_chosen(lonely_builder: Builder, tmp_path: Path) -> None:
    lonely_builder.image(FILL)
    lonely_builder.image("FROM busybox\nRUN --mount=type=cache,id=b,target=/c echo > /c/b\n")
    one = mounts(lonely_builder)[0]

    exported(lonely_builder, tmp_path / "one.tar", one)

    with tarfile.open(tmp_path / "one.tar") as tar:
        assert {name.partition("/")[0] for name in tar.getnames()} == {one}
    assert lonely_builder.call("builder", "export", "-o", str(tmp_path / "x"), "0" * 64).returncode != 0


@pytest.mark.parametrize("name", ["../../evil/about", "evil/about", "0" * 64 + "/about", "/etc/evil"])
def test_an_archive_of_something_else_makes_nothing(
    lonely_builder: Builder, tmp_path: Path, name: str
) -> None:
    archive = tmp_path / "evil.tar"
    with tarfile.open(archive, "w") as tar:
        member = tarfile.TarInfo(name)
        member.size = 4
        tar.addfile(member, io.BytesIO(b"evil"))

    done = lonely_builder.call("builder", "import", "-i", str(archive))

    assert done.returncode != 0
    assert mounts(lonely_builder) == []
    assert [path for path in tmp_path.rglob("*evil*") if path != archive] == []


@pytest.mark.parametrize("strange", ["fifo", "lock", "size"])
def test_an_archive_has_of_a_cache_its_name_and_its_files_alone(
    lonely_builder: Builder, tmp_path: Path, strange: str
) -> None:
    name = hashlib.sha256(b"/c").hexdigest()
    with tarfile.open(tmp_path / "evil.tar", "w") as tar:
        about = tarfile.TarInfo(f"{name}/about")
        about.size = 2
        if strange == "fifo":
            about.type, about.size = tarfile.FIFOTYPE, 0  # who opened it would wait for a writer
        tar.addfile(about, io.BytesIO(b"/c"))
        if strange != "fifo":
            link = tarfile.TarInfo(f"{name}/{strange}")
            link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
            tar.addfile(link)

    done = lonely_builder.call("builder", "import", "-i", str(tmp_path / "evil.tar"))

    assert done.returncode != 0
    assert "it is no exported cache mount" in done.stderr
    assert mounts(lonely_builder) == []


def test_a_cache_in_use_is_left_out_and_said_so(lonely_builder: Builder, tmp_path: Path) -> None:
    lonely_builder.image(FILL)
    (one,) = mounts(lonely_builder)
    (lock,) = (path for path in lonely_builder.root.rglob("lock") if path.parent.name == one)
    with lock.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_SH)  # as a step that shares it does

        done = lonely_builder.call("builder", "export", "-o", str(tmp_path / "caches.tar"))

    assert done.returncode == 0
    assert f"left out {one}" in done.stderr
    with tarfile.open(tmp_path / "caches.tar") as tar:
        assert tar.getnames() == []
