"""Attacks on what is handed to a container, each with a canary that must not be reached (docs/isolation.md)."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from fixtures.containers import Containers
from layerstore import linux
from runner import rootfs
from runner.spec import Mount

pytestmark = pytest.mark.root


def in_own_mounts(body: Callable[[], None]) -> int:
    """The exit status of a child that runs `body` with mounts of its own: 0 if it came to its end."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            linux.unshare(linux.CLONE_NEWNS)
            body()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_source_that_is_swapped_while_the_container_starts_is_not_followed(tmp_path: Path) -> None:
    """CVE-2021-30465: the path is a directory when it is looked at, and a link to the host when it is mounted."""
    source, canary, root = tmp_path / "source", tmp_path / "canary", tmp_path / "root"
    for directory in (source, canary, root):
        directory.mkdir()
    (source / "whose").write_text("asked for")
    (canary / "whose").write_text("the host's")
    mount = Mount("/data", str(source))

    def start() -> None:
        sources = rootfs.open_sources([mount])
        linux.mount(None, "/", None, linux.MS_REC | linux.MS_PRIVATE)
        source.rename(tmp_path / "moved")
        source.symlink_to(canary)
        rootfs.mount_all(os.open(root, os.O_PATH), [mount], sources)
        assert (root / "data" / "whose").read_text() == "asked for"

    assert in_own_mounts(start) == 0


@pytest.mark.parametrize("link", ["/", "../../../../../..", "/proc/self/root", "/proc/1/root"])
def test_a_target_that_is_a_link_in_the_image_stays_inside(
    containers: Containers, tmp_path: Path, link: str
) -> None:
    (tmp_path / "shared").mkdir()
    containers.image.joinpath("data").symlink_to(link + "/canary-of-this-test")

    outcome = containers.run(
        "sh", "-c", "echo x > /data/written", mounts=[{"source": str(tmp_path / "shared"), "target": "/data"}]
    )

    assert not os.path.lexists("/canary-of-this-test")
    assert outcome.status == 125 or (tmp_path / "shared" / "written").exists(), outcome


def test_control_groups_cannot_be_written_by_root_inside(containers: Containers) -> None:
    """CVE-2023-25809, and release_agent's way out (CVE-2022-0492)."""
    script = (
        "for d in /sys/fs/cgroup /sys/fs/cgroup/*; do test -d $d || continue;"
        " mkdir $d/out 2> /dev/null && echo made $d; (echo x > $d/release_agent) 2> /dev/null && echo wrote $d;"
        " done; true"
    )

    assert containers.sh(script) == ""


def test_masked_files_cannot_be_uncovered(containers: Containers) -> None:
    outcome = containers.run(
        "sh", "-c", "umount /proc/kcore; umount /proc/keys; mount -o remount,rw /proc/sys; wc -c < /proc/keys"
    )

    assert outcome.output.strip() == "0"
    assert outcome.errors.count("Operation not permitted") + outcome.errors.count("permission denied") >= 1


def test_nothing_is_mounted_over_what_is_the_kernel_s(containers: Containers, tmp_path: Path) -> None:
    containers.image.joinpath("alias").symlink_to("proc")

    for target in ("/proc", "/proc/sys", "/sys/fs/cgroup", "/alias/self"):
        outcome = containers.run("true", mounts=[{"source": str(tmp_path), "target": target}])
        assert outcome.status == 125
        assert "/proc and /sys are the kernel's" in outcome.errors
