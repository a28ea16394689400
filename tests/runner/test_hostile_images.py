"""Images that attack the launcher: the lines under "Running" of the threat list, each with its canary."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.containers import Containers

pytestmark = pytest.mark.root

CANARY = "unchanged"


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    """A directory of the host with one file; neither may be changed, joined or mounted over."""
    directory = tmp_path / "canary"
    directory.mkdir()
    for name in ("hosts", "resolv.conf", "kcore"):
        (directory / name).write_text(CANARY)
    before = snapshot(directory)
    yield directory
    assert snapshot(directory) == before


def snapshot(directory: Path) -> dict[str, tuple[str, int, int]]:
    found = {}
    for path in sorted(directory.iterdir()):
        details = path.stat()
        found[path.name] = (path.read_text(), details.st_mode, details.st_mtime_ns)
    return found


@pytest.mark.parametrize("name", ["proc", "sys", "dev"])
@pytest.mark.parametrize("climb", ["", "../../../../../.."])
def test_a_linked_mount_point_stays_inside(
    containers: Containers, canary: Path, name: str, climb: str
) -> None:
    """CVE-2019-16884, CVE-2025-31133: the kernel's mounts land where the link leads inside the root."""
    (containers.image / name).symlink_to(f"{climb}{canary}")

    outcome = containers.run("/bin/busybox", "ls", "-d", f"{canary}/hosts")

    assert outcome.status == 1
    inside = containers.made[0] / "upper" / str(canary).lstrip("/")
    assert inside.is_dir()


@pytest.mark.parametrize("name", ["hosts", "hostname", "resolv.conf"])
def test_linked_etc_files_are_bound_inside_and_the_host_s_are_not_touched(
    containers: Containers, canary: Path, name: str
) -> None:
    (containers.image / "etc" / name).symlink_to(f"../../../../../..{canary}/hosts")

    output = containers.sh(f"cat /etc/{name}")

    assert CANARY not in output


def test_etc_itself_as_a_link_stays_inside(containers: Containers, canary: Path) -> None:
    for file in (containers.image / "etc").iterdir():
        file.unlink()
    (containers.image / "etc").rmdir()
    (containers.image / "etc").symlink_to(canary)

    assert "localhost" in containers.sh("cat /etc/hosts")


def test_a_dangling_resolv_conf_gets_its_target_made_inside(containers: Containers) -> None:
    (containers.image / "etc" / "resolv.conf").symlink_to("../run/systemd/resolve/stub-resolv.conf")

    containers.sh("test -f /run/systemd/resolve/stub-resolv.conf")


def test_a_loop_of_links_is_an_error(containers: Containers) -> None:
    (containers.image / "etc" / "hosts").symlink_to("hosts")

    outcome = containers.run("true")

    assert outcome.status == 125
    assert "at /etc/hosts: too many symbolic links" in outcome.errors


def test_a_directory_where_a_file_is_bound_is_an_error(containers: Containers) -> None:
    (containers.image / "etc" / "hosts").mkdir()

    outcome = containers.run("true")

    assert outcome.status == 125
    assert "at /etc/hosts: is no file to mount over" in outcome.errors


@pytest.mark.parametrize("target", ["/data", "/data/sub", "../../data"])
def test_a_volume_target_that_is_a_link_or_climbs_stays_inside(
    containers: Containers, canary: Path, tmp_path: Path, target: str
) -> None:
    """CVE-2022-23648, CVE-2021-30465."""
    volume = tmp_path / "volume"
    volume.mkdir()
    (volume / "mark").write_text("volume")
    (containers.image / "data").symlink_to(canary)

    output = containers.sh(f"cat /{target}/mark", mounts=[{"source": str(volume), "target": target}])

    assert output == "volume"


def test_a_link_inside_a_shared_volume_leads_no_mount_out(
    containers: Containers, canary: Path, tmp_path: Path
) -> None:
    volume, other = tmp_path / "volume", tmp_path / "other"
    volume.mkdir()
    other.mkdir()
    (volume / "link").symlink_to(f"../../../../../../..{canary}")

    containers.sh(
        "touch /volume/link/written",
        mounts=[
            {"source": str(volume), "target": "/volume"},
            {"source": str(other), "target": "/volume/link/"},
        ],
    )

    assert (other / "written").exists()


@pytest.mark.parametrize("target", ["/proc", "/proc/sys", "/sys/kernel", "/link", "/proc/../proc/self"])
def test_nothing_is_mounted_over_the_kernel_s_own(
    containers: Containers, tmp_path: Path, target: str
) -> None:
    (containers.image / "link").symlink_to("proc/sys")

    outcome = containers.run("true", mounts=[{"source": str(tmp_path), "target": target}])

    assert outcome.status == 125
    assert "/proc and /sys are the kernel's" in outcome.errors


@pytest.mark.parametrize(
    "cwd", ["/proc/self/fd/7", "/proc/self/cwd", "/proc/1/root", "/proc/self/cwd/new", "/link"]
)
def test_a_working_directory_reached_by_a_descriptor_is_refused(
    containers: Containers, tmp_path: Path, cwd: str
) -> None:
    """CVE-2024-21626."""
    (containers.image / "link").symlink_to("/proc/self/fd/8")
    leaked = os.open(tmp_path, os.O_RDONLY)

    outcome = containers.run("pwd", cwd=cwd, pass_fds=(leaked,))

    os.close(leaked)
    assert outcome.status == 125
    assert "cannot make the working directory" in outcome.errors


def test_a_working_directory_that_links_out_is_made_inside(containers: Containers, canary: Path) -> None:
    (containers.image / "work").symlink_to(f"../../../..{canary}/new")

    assert containers.sh("pwd", cwd="/work") == f"{canary}/new\n"
    assert not (canary / "new").exists()


def test_a_working_directory_that_is_a_file_is_an_error(containers: Containers) -> None:
    outcome = containers.run("pwd", cwd="/etc/passwd")

    assert (outcome.status, "not a directory" in outcome.errors) == (125, True)


def script(containers: Containers, name: str, interpreter: str) -> str:
    path = containers.image / name
    path.write_text(f"#!{interpreter}\n")
    path.chmod(0o711)
    return f"/{name}"


@pytest.mark.parametrize("user", ["", "alice"])
def test_the_launcher_s_own_binary_is_not_started_inside(containers: Containers, user: str) -> None:
    """CVE-2019-5736: as the command, by a link, as the interpreter of a script, and of a script's script."""
    (containers.image / "link").symlink_to("/proc/self/exe")
    direct = script(containers, "direct", "/proc/self/exe")
    linked = script(containers, "linked", " /link -c")
    nested = script(containers, "nested", direct)

    outcomes = [
        containers.run(command, user=user) for command in ("/proc/self/exe", "/link", direct, linked, nested)
    ]

    assert [outcome.status for outcome in outcomes] == [126] * 5
    assert all("it leads through /proc" in outcome.errors for outcome in outcomes)


@pytest.mark.parametrize(
    "user",
    ["big", "2147483648", "4294967295", "0:2147483648", "99999999999999999999999", "-1", "bob", "0:bob"],
)
def test_a_user_that_is_none_or_too_big_is_refused(containers: Containers, user: str) -> None:
    """CVE-2024-40635."""
    outcome = containers.run("id", user=user)

    assert outcome.status == 125
    assert outcome.errors.startswith(f"LaunchError: cannot run as {user!r}: ")


def test_a_passwd_that_leads_out_or_blocks_is_no_passwd(containers: Containers, canary: Path) -> None:
    """CVE-2024-29018 and kin: the host's accounts are not the container's."""
    passwd = containers.image / "etc" / "passwd"
    passwd.unlink()
    (canary.parent / "passwd").write_text("spy:x:77:77::/:/bin/sh\n")
    for make in (
        lambda: passwd.symlink_to(f"../../../../..{canary.parent}/passwd"),
        lambda: os.mkfifo(passwd),
        lambda: make_socket(passwd),
        lambda: os.mkdir(passwd),
    ):
        make()

        outcome = containers.run("id", user="spy")

        assert (outcome.status, "no user 'spy'" in outcome.errors) == (125, True)
        passwd.rmdir() if passwd.is_dir() else passwd.unlink()


def make_socket(path: Path) -> None:
    here = os.open(path.parent, os.O_PATH)
    server = socket.socket(socket.AF_UNIX)
    server.bind(f"/proc/self/fd/{here}/{path.name}")  # longer names do not fit
    server.close()
    os.close(here)


def test_state_files_are_not_written_through_a_link(containers: Containers, canary: Path) -> None:
    """CVE-2026-53489."""
    place = containers.scratch / "container0" / "state"
    place.mkdir(parents=True)
    (place / "hosts").symlink_to(canary / "hosts")

    outcome = containers.run("true")

    assert outcome.status == 125
    assert "cannot write the container's hosts: too many levels of symbolic links" in outcome.errors


def test_code_of_the_image_is_not_imported_by_the_launcher(containers: Containers) -> None:
    """CVE-2019-14271: modules planted wherever the interpreter has its own."""
    for directory in {os.path.dirname(os.__file__), *(p for p in ("/usr/lib/python3.11",))}:
        planted = containers.image / directory.lstrip("/")
        planted.mkdir(parents=True)
        for module in ("traceback", "linecache", "codecs", "locale", "pwd", "signal"):
            (planted / f"{module}.py").write_text("open('/imported', 'w')\n")

    containers.run("/does/not/exist", user="alice")
    containers.run("true", user="alice")

    assert [place for place in containers.made if (place / "upper" / "imported").exists()] == []
