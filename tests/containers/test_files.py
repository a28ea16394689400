"""cp, diff, export, commit: files of a container from outside, whatever links it plants."""

import io
import json
import os
import stat
import struct
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.containers.conftest import Lstore

pytestmark = pytest.mark.root


@pytest.fixture
def box(lstore: Lstore, canary: Path) -> str:
    """A container that runs, with a file, a directory, and links that lead out of its root."""
    script = (
        "mkdir -p /d/sub; echo one > /d/one; echo two > /d/sub/two; ln -s one /d/link; ln -s / /climb;"
        f"ln -s ../../../../../../ /d/etc; ln -s {canary} /abs; chmod 750 /d/sub; echo ready; sleep 1000"
    )
    lstore.detached("--name", "box", "busybox", "sh", "-c", script)
    lstore.wait_for_line("box", "ready")
    return "box"


@pytest.fixture(params=["running", "stopped"])
def any_box(request: pytest.FixtureRequest, lstore: Lstore, box: str) -> str:
    """The same, also when it does not run any more."""
    if request.param == "stopped":
        lstore("stop", "-t", "0", "box")
    return box


@pytest.fixture
def canary() -> Iterator[Path]:
    """A file of the host, outside of everything."""
    path = Path(f"/canary-{os.getpid()}")
    path.write_text("as it was")
    yield path
    assert path.read_text() == "as it was"
    path.unlink()


def names(archive: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return sorted(tar.getnames())


def read(lstore: Lstore, path: str) -> str:
    """The content of a file of the box, by way of its archive."""
    data = lstore.bytes("cp", f"box:{path}", "-")
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        content = tar.extractfile(tar.getmembers()[0])
        assert content is not None
        return content.read().decode()


def test_a_file_and_a_directory_come_out(lstore: Lstore, any_box: str, tmp_path: Path) -> None:
    lstore("cp", "box:/d/one", str(tmp_path))
    lstore("cp", "box:/d/one", str(tmp_path / "renamed"))
    lstore("cp", "box:/d", str(tmp_path / "copy"))
    lstore("cp", "box:/d", str(tmp_path / "copy"))
    (tmp_path / "contents").mkdir()
    lstore("cp", "box:/d/.", str(tmp_path / "contents"))

    assert (tmp_path / "one").read_text() == (tmp_path / "renamed").read_text() == "one\n"
    assert (tmp_path / "copy" / "sub" / "two").read_text() == "two\n"
    assert (tmp_path / "copy" / "d" / "one").exists()
    assert (tmp_path / "contents" / "sub").stat().st_mode & 0o777 == 0o750
    assert (tmp_path / "contents" / "link").readlink() == Path("one")


def test_files_go_in_and_root_owns_them(lstore: Lstore, any_box: str, tmp_path: Path) -> None:
    (tmp_path / "tree" / "deep").mkdir(parents=True)
    (tmp_path / "tree" / "deep" / "file").write_text("content")

    lstore("cp", str(tmp_path / "tree"), "box:/d")
    lstore("cp", str(tmp_path / "tree" / "deep" / "file"), "box:/d/one")
    lstore("cp", f"{tmp_path}/tree/.", "box:/new")

    assert (
        read(lstore, "/d/tree/deep/file")
        == read(lstore, "/d/one")
        == read(lstore, "/new/deep/file")
        == "content"
    )
    data = lstore.bytes("cp", "box:/d/tree", "-")
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert {(member.uid, member.gid) for member in tar} == {(0, 0)}


def test_archives_go_both_ways(lstore: Lstore, any_box: str) -> None:
    data = lstore.bytes("cp", "box:/d", "-")

    lstore("cp", "-", "box:/tmp", stdin=data)

    assert names(data) == ["d", "d/etc", "d/link", "d/one", "d/sub", "d/sub/two"]
    assert read(lstore, "/tmp/d/sub/two") == "two\n"


def test_a_link_is_copied_itself_or_what_it_points_to(lstore: Lstore, any_box: str, tmp_path: Path) -> None:
    (tmp_path / "target").write_text("outside\n")
    (tmp_path / "link").symlink_to("target")

    for options, name in (((), "plain"), (("-L",), "followed")):
        lstore("cp", *options, "box:/d/link", str(tmp_path / f"out-{name}"))
        lstore("cp", *options, str(tmp_path / "link"), f"box:/d/in-{name}")

    assert (tmp_path / "out-plain").readlink() == Path("one")
    assert not (tmp_path / "out-followed").is_symlink()
    assert (tmp_path / "out-followed").read_text() == "one\n"
    with tarfile.open(fileobj=io.BytesIO(lstore.bytes("cp", "box:/d", "-"))) as tar:
        assert tar.getmember("d/in-plain").linkname == "target"
        assert tar.getmember("d/in-followed").isreg()


def test_owners_are_kept_only_where_asked_for(lstore: Lstore, any_box: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    os.chown(tmp_path / "file", 77, 88)

    for options, name in (((), "plain"), (("-a",), "kept"), (("-aq",), "quiet")):
        assert lstore("cp", *options, str(tmp_path / "file"), f"box:/d/{name}") == ""
    lstore("cp", "-a", "box:/d", str(tmp_path / "kept"))
    lstore("cp", "box:/d", str(tmp_path / "plain"))

    def owners(directory: str) -> list[tuple[int, int]]:
        found = [os.stat(tmp_path / directory / name) for name in ("plain", "kept", "quiet")]
        return [(status.st_uid, status.st_gid) for status in found]

    assert owners("kept") == [(0, 0), (77, 88), (77, 88)]
    assert owners("plain") == [(0, 0)] * 3


@pytest.mark.parametrize("path", ["/climb/NAME", "/abs", "/d/etc/NAME", "../../NAME"])
def test_links_of_the_container_lead_nowhere_but_into_it(
    lstore: Lstore, box: str, canary: Path, path: str
) -> None:
    error = lstore.refused("cp", "-L", f"box:{path.replace('NAME', canary.name)}", "-")

    assert "no such file or directory" in error


def test_writing_through_its_links_stays_inside(
    lstore: Lstore, box: str, canary: Path, tmp_path: Path
) -> None:
    (tmp_path / canary.name).write_text("from outside")

    lstore("cp", str(tmp_path / canary.name), "box:/climb/")
    lstore("cp", str(tmp_path / canary.name), "box:/d/etc/")

    assert read(lstore, f"/{canary.name}") == "from outside"


def evil(*members: tuple[str, bytes, str]) -> bytes:
    """An archive of (name, type, target or content)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, kind, text in members:
            info = tarfile.TarInfo(name)
            info.type = kind
            if kind == tarfile.REGTYPE:
                info.size = len(text)
                tar.addfile(info, io.BytesIO(text.encode()))
            else:
                info.linkname = text
                tar.addfile(info)
    return buffer.getvalue()


def test_archives_that_climb_are_refused(lstore: Lstore, box: str, canary: Path) -> None:
    name = canary.name
    archives = [
        evil((f"../{name}", tarfile.REGTYPE, "evil")),
        evil(("out", tarfile.SYMTYPE, "/"), (f"out/{name}", tarfile.REGTYPE, "evil")),
        evil(("up", tarfile.SYMTYPE, "../../../../../.."), (f"up/{name}", tarfile.REGTYPE, "evil")),
        evil(("hard", tarfile.LNKTYPE, f"../../../{name}"), ("hard", tarfile.REGTYPE, "evil")),
    ]

    for archive in archives:
        done = lstore.call("cp", "-", "box:/tmp", stdin=archive)
        assert (done.returncode, done.stderr.startswith("lstore: ")) == (1, True), done


def test_a_compressed_archive_needs_nothing_of_the_container(lstore: Lstore, box: str) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:xz") as tar:
        tar.addfile(tarfile.TarInfo("empty"))

    lstore("cp", "-", "box:/tmp", stdin=buffer.getvalue())

    assert read(lstore, "/tmp/empty") == ""


def test_a_link_swapped_in_all_the_while_never_leads_out(lstore: Lstore, canary: Path) -> None:
    name = canary.name
    swap = f"while :; do rm -rf /x; ln -s / /x; rm /x; mkdir /x; echo in > /x/{name}; done"
    lstore.detached("--name", "box", "busybox", "sh", "-c", swap)

    for _ in range(5):
        done = lstore.call("cp", f"box:/x/{name}", "-")
        assert "as it was" not in done.stdout
        lstore.call("cp", "/etc/hostname", f"box:/x/{name}")


def test_what_is_not_there_and_what_cannot_be_is_told(lstore: Lstore, box: str, tmp_path: Path) -> None:
    assert "no such file or directory: /nowhere" in lstore.refused("cp", "box:/nowhere", str(tmp_path))
    assert f"no such file or directory: {tmp_path}/no" in lstore.refused("cp", f"{tmp_path}/no", "box:/")
    assert "no such file or directory: /no/such" in lstore.refused("cp", str(tmp_path), "box:/no/such")
    assert "no such container" in lstore.refused("cp", "nobody:/x", str(tmp_path))
    assert "exactly one" in lstore.refused("cp", "box:/x", "box:/y")
    (tmp_path / "file").touch()
    assert "it is a file" in lstore.refused("cp", "box:/d", str(tmp_path / "file"))


def test_diff_tells_what_the_container_changed_and_nothing_of_ours(lstore: Lstore) -> None:
    lstore.call("run", "--name", "box", "busybox", "sh", "-c", "echo x > /new; rm /bin/true; chmod 700 /tmp")

    assert lstore("diff", "box").splitlines() == ["C /bin", "D /bin/true", "A /new", "C /tmp"]


def test_export_has_every_file_and_nothing_that_is_mounted(lstore: Lstore, any_box: str) -> None:
    found = names(lstore.bytes("export", "box"))

    assert {"bin/busybox", "d/sub/two", "climb", "proc", "dev"} <= set(found)
    assert not [name for name in found if name.startswith(("proc/", "sys/", "dev/"))]


def test_an_export_is_a_file_that_tar_reads_and_import_makes_an_image_of(
    lstore: Lstore, box: str, tmp_path: Path
) -> None:
    archive = tmp_path / "box.tar"

    assert lstore("export", "-o", str(archive), "box") == ""
    lstore("import", "-c", 'CMD ["cat", "/d/sub/two"]', str(archive), "again:1")
    listed = subprocess.run(["tar", "-tvf", archive], capture_output=True, text=True, check=True).stdout

    assert "-rw-r--r-- 0/0 " in next(line for line in listed.splitlines() if line.endswith(" d/sub/two"))
    assert archive.read_bytes() == lstore.bytes("export", "box")
    assert lstore("run", "--rm", "again:1") == "two"
    lstore("rmi", "again:1")


def test_a_commit_holds_the_container_still_unless_told_not_to(lstore: Lstore) -> None:
    """Two files that grow one after the other, at both ends of a large one that takes a while to read."""
    script = "head -c 30m /dev/zero > /b; while :; do echo >> /a; echo >> /c; done"
    lstore.detached("--name", "busy", "busybox", "sh", "-c", script)
    lstore("exec", "busy", "sh", "-c", "until test -s /c; do sleep 0.02; done")

    def grew(*options: str) -> bool:
        """Whether what was committed shows that the container went on."""
        lstore("commit", *options, "busy", "moved:1")
        first, last = lstore("run", "--rm", "moved:1", "stat", "-c", "%s", "/a", "/c").split()
        return int(last) > int(first)

    assert [grew(), grew("--pause")] == [False, False]
    assert any(grew("--no-pause") for _ in range(10))
    assert {"a", "b", "c"} <= set(names(lstore.bytes("export", "busy")))
    lstore("rmi", "moved:1")


def test_commit_makes_an_image_that_runs_as_the_container_did(lstore: Lstore, box: str) -> None:
    options = ("-m", "why", "-a", "me", "-c", "ENV ADDED=1", "-c", 'CMD ["cat", "/d/one"]')

    identity = lstore("commit", *options, "box", "made:1")

    assert lstore("run", "--rm", "made:1") == "one\n".strip()
    found = json.loads(lstore("inspect", "--format", "{{json .}}", "made:1"))
    assert found["Id"] == identity
    assert found["Author"] == "me"
    assert "ADDED=1" in found["Config"]["Env"]
    inspect = ["skopeo", "inspect", "--config", f"oci:{lstore.root}/content:made:1"]
    config = json.loads(subprocess.run(inspect, capture_output=True, check=True).stdout)
    assert (config["author"], config["config"]["Cmd"]) == ("me", ["cat", "/d/one"])
    assert (config["history"][-1]["comment"], config["history"][-1]["author"]) == ("why", "me")
    lstore("rmi", "made:1")


def test_a_commit_takes_over_what_the_container_was_told_and_nothing_of_its_terminal(lstore: Lstore) -> None:
    health = ("--health-cmd", "test -e /", "--health-interval", "7s")
    options = (
        "-t",
        "-e",
        "A=1",
        "-e",
        "A=2",
        "-u",
        "7:8",
        "-w",
        "/tmp",
        "-l",
        "tier=db",
        "--entrypoint",
        "env",
    )
    lstore("create", "--name", "told", *options, "--stop-signal", "USR1", *health, "busybox", "-u", "B")
    lstore("create", "--name", "plain", "busybox")

    for name in ("told", "plain"):
        lstore("commit", name, f"{name}:1")
    told, plain = (skopeo(lstore, name) for name in ("told:1", "plain:1"))
    base = lstore("inspect", "--type", "image", "-f", "{{json .Config.Cmd}}", "busybox")
    lstore("create", "--name", "off", "--no-healthcheck", "told:1")
    lstore("commit", "off", "off:1")
    off = skopeo(lstore, "off:1")
    lstore("rm", "told", "plain", "off")
    lstore("rmi", "told:1", "plain:1", "off:1")

    assert [word for word in told["Env"] if not word.startswith("PATH=")] == ["A=2"]
    assert (told["User"], told["WorkingDir"], told["Labels"]["tier"]) == ("7:8", "/tmp", "db")
    assert (told["Entrypoint"], told["Cmd"], told["StopSignal"]) == (["env"], ["-u", "B"], "SIGUSR1")
    assert told["Healthcheck"]["Test"] == ["CMD-SHELL", "test -e /"]
    assert told["Healthcheck"]["Interval"] == 7 * 10**9
    assert off["Healthcheck"] == {"Test": ["NONE"]}
    assert {"StopSignal", "Healthcheck"}.isdisjoint(plain)
    assert plain["Cmd"] == json.loads(base)


def skopeo(lstore: Lstore, image: str) -> Any:
    """The image's defaults, as another tool reads them; docker's fields, too."""
    inspect = ["skopeo", "inspect", "--raw", "--config", f"oci:{lstore.root}/content:{image}"]
    return json.loads(subprocess.run(inspect, capture_output=True, check=True).stdout)["config"]


def capability(number: int) -> bytes:
    """The value of security.capability that permits and raises one: capabilities(7), version 2."""
    return struct.pack("<5I", 0x02000001, 1 << number, 0, 0, 0)


def test_attributes_go_both_ways_and_capabilities_come_out_only_with_owners(
    lstore: Lstore, any_box: str, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_text("content")
    os.setxattr(source, "user.of-directory", b"d")
    os.setxattr(source / "file", "user.binary", b"\xff\0=\n1")
    os.setxattr(source / "file", "security.capability", capability(13))

    lstore("cp", str(source), "box:/copied")
    lstore("cp", "box:/copied", str(tmp_path / "plain"))
    lstore("cp", "-a", "box:/copied", str(tmp_path / "kept"))

    for copy in ("plain", "kept"):
        assert os.getxattr(tmp_path / copy, "user.of-directory") == b"d"
        assert os.getxattr(tmp_path / copy / "file", "user.binary") == b"\xff\0=\n1"
    assert os.listxattr(tmp_path / "plain" / "file") == ["user.binary"]
    assert os.getxattr(tmp_path / "kept" / "file", "security.capability") == capability(13)


def test_a_capability_that_is_copied_in_works_inside(lstore: Lstore, box: str, tmp_path: Path) -> None:
    lstore("cp", "box:/bin/busybox", str(tmp_path / "cat"))
    os.setxattr(tmp_path / "cat", "security.capability", capability(13))

    lstore("cp", str(tmp_path / "cat"), "box:/cat")
    status = lstore("exec", "-u", "1000", "box", "/cat", "/proc/self/status")

    assert "CapEff:\t0000000000002000\n" in status


def test_devices_go_in_and_come_out_only_with_owners(lstore: Lstore, any_box: str, tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    os.mknod(tmp_path / "dev" / "zero", 0o600 | stat.S_IFCHR, os.makedev(1, 5))

    lstore("cp", str(tmp_path / "dev"), "box:/devices")
    error = lstore.refused("cp", "box:/devices", str(tmp_path / "plain"))
    lstore("cp", "-a", "box:/devices", str(tmp_path / "kept"))

    assert "it is a device" in error
    status = os.stat(tmp_path / "kept" / "zero")
    assert (stat.S_ISCHR(status.st_mode), status.st_rdev) == (True, os.makedev(1, 5))
