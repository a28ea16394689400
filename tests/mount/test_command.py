"""``lstore mount`` and ``umount`` as processes in a mount namespace of their own: output, statuses, crashes, users."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mount.conftest import DEVICE, LOWER, UPPER, write_layout

pytestmark = pytest.mark.root

PROGRAMS = os.path.dirname(sys.executable)
"""Where ``lstore`` is installed."""
UID = 54322


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with the image ``looked:1``."""
    layout = write_layout(tmp_path / "layout", LOWER, [*UPPER, *DEVICE])
    shell(tmp_path / "store", f"lstore load -q -i {layout}").check_returncode()
    return tmp_path / "store"


def shell(store: Path, script: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run `script` over `store` in a mount namespace of its own."""
    return subprocess.run(
        ["unshare", "--mount", "/bin/sh", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": f"{PROGRAMS}:{os.environ['PATH']}", "LSTORE_ROOT": str(store), **environment},
    )


def test_another_platform_than_asked_is_not_mounted(store: Path, tmp_path: Path) -> None:
    (tmp_path / "mnt").mkdir()

    result = shell(
        store,
        f"cd {tmp_path}; lstore mount --platform linux/s390x looked:1 mnt; echo $?; ls mnt; lstore mount -q",
    )

    assert result.stdout.splitlines()[:1] == ["1"]
    assert "no such image for linux/s390x: looked:1 is for linux/" in result.stderr
    assert os.listdir(tmp_path / "mnt") == []


def test_a_session_of_looking_at_an_image(store: Path, tmp_path: Path) -> None:
    (tmp_path / "mnt").mkdir()

    result = shell(
        store,
        f"cd {tmp_path}; lstore mount looked:1 mnt; cat mnt/etc/name; echo; lstore mount | tail -n +2;"
        "lstore mount --format '{{.Name}}={{.MountPoint}}'; lstore umount mnt; ls mnt; lstore mount",
    )

    assert result.stderr == ""
    place, content, row, formatted, gone, header = result.stdout.splitlines()
    assert place == gone == str(tmp_path / "mnt")
    assert content == "upper"
    assert re.fullmatch(rf"[0-9a-f]{{12}} +looked:1 +{re.escape(place)}", row)
    assert formatted == f"looked:1={place}"
    assert re.fullmatch("ID +NAME +MOUNT POINT", header)


def test_a_place_is_made_and_printed(store: Path) -> None:
    result = shell(store, 'at=$(lstore mount looked:1) && cat "$at/etc/name" && lstore umount --all')

    content, _, place = result.stdout.partition("upper")
    assert (content, result.stderr) == ("", "")
    assert place.startswith(f"{store}/mounts/")


@pytest.mark.parametrize(
    ("script", "status", "message"),
    [
        ("mount absent:1 /mnt", 1, "no such image: absent:1"),
        ("mount looked:1 /no/such", 1, "no directory /no/such"),
        ("mount --uidmap 1:2 looked:1", 125, "invalid id map"),
        ("mount --uidmap 0:1:0 looked:1", 125, "cannot map these ids"),
        ("umount", 125, "say what to unmount"),
        ("umount /mnt", 1, "nothing of lstore is mounted"),
        ("mount looked:1 /proc", 1, "something is mounted there"),
    ],
)
def test_what_cannot_be_mounted_is_one_line(store: Path, script: str, status: int, message: str) -> None:
    result = shell(store, f"lstore {script}")

    assert result.returncode == status
    first, *rest = result.stderr.splitlines()
    assert first.startswith("lstore: ")
    assert message in first
    assert all(line.startswith("  try: ") for line in rest)


def test_ids_are_shifted(store: Path) -> None:
    result = shell(store, 'stat -c %u:%g "$(lstore mount --uidmap 0:100000:65536 looked:1)/of-1000"')

    assert result.stdout == "101000:101000\n"


@pytest.mark.parametrize(
    ("point", "is_mounted"), [("mount: recorded, not attached", False), ("mount: attached", True)]
)
def test_a_mount_killed_halfway_is_whole_or_forgotten(store: Path, point: str, is_mounted: bool) -> None:
    result = shell(
        store,
        "at=$(LSTORE_CRASH_AT=$POINT lstore mount looked:1); echo $?;"
        "lstore mount --format '{{.Name}}'; lstore system prune -f >&2; lstore fsck -q; lstore umount --all",
        POINT=point,
    )

    status, *rest = result.stdout.splitlines()
    assert status == "137"
    assert ("looked:1" in rest) is is_mounted
    assert "The store is clean" in rest
    assert list((store / "mounts").iterdir()) == []


def test_an_umount_killed_halfway_is_done(store: Path) -> None:
    result = shell(
        store,
        "at=$(lstore mount looked:1); LSTORE_CRASH_AT='umount: detached, still recorded' lstore umount $at;"
        "lstore mount --format '{{.Name}}'; lstore system prune -f >&2; ls $LSTORE_ROOT/mounts",
    )

    assert result.stdout == ""


@pytest.fixture
def users_store(store: Path, tmp_path: Path) -> Path:
    """The store, given to a user without privilege."""
    for directory, _, names in os.walk(tmp_path):
        for name in (".", *names):
            os.chown(os.path.join(directory, name), UID, UID, follow_symlinks=False)
    for parent in tmp_path.parents[:3]:
        parent.chmod(parent.stat().st_mode | 0o011)
    return store


AS_USER = f"exec setpriv --reuid={UID} --regid={UID} --clear-groups --inh-caps=-all sh -c"


def opened_interpreter(place: Path) -> str:
    """Shell commands that let other users reach our interpreter where a closed directory keeps it from them."""
    home = Path(sys.base_prefix)
    top = Path(*home.parts[:2])
    if top.stat().st_mode & 0o001:
        return ""
    place.mkdir()
    return (
        f"mount --bind {home} {place} && mount -t tmpfs -o mode=755 none {top} && "
        f"mkdir -p {home} && mount --bind {place} {home} && "
    )


def test_a_user_is_told_how_to_do_it_and_can(users_store: Path, tmp_path: Path) -> None:
    target = tmp_path / "mine"
    target.mkdir()
    os.chown(target, UID, UID)
    as_user = f"{opened_interpreter(tmp_path / 'interpreter')}{AS_USER}"

    refused = shell(users_store, f"{as_user} 'lstore mount looked:1 {target}'")

    message, hint = refused.stderr.splitlines()
    assert refused.returncode == 1
    assert message == "lstore: cannot mount looked:1: only root can, or root of a user namespace"
    script = hint.removeprefix("  try: ").replace("exec sh", f"cat {target}/etc/name")
    done = shell(users_store, f"{as_user} {shlex.quote(script)}")
    assert (done.stdout, done.stderr) == (f"{target}\nupper", "")
