"""A store on a full or closed file system, through the real command: one line, a hint, a status, nothing lost."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fixtures.images.entries import file, make_tar
from fixtures.images.layout import ImageBuilder, layer
from fixtures.images.publish import publish
from fixtures.registry import Registry

pytestmark = pytest.mark.root

LSTORE = f"{sys.executable} -m lstore --root"
SMALL = "1500k"


def in_namespace(script: str) -> "subprocess.CompletedProcess[str]":
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    return subprocess.run(
        ["unshare", "--mount", "/bin/sh", "-c", script],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip


def assert_told(stderr: str, words: str) -> None:
    first, *rest = stderr.splitlines()
    assert first.startswith("lstore: ")
    assert words in first
    assert all(line.startswith("  try: ") for line in rest)
    assert len(rest) == 1


@pytest.fixture
def layouts(tmp_path: Path) -> tuple[Path, Path]:
    """A small image, and one that a small disk has no room for."""
    found = []
    for name, data in (("small", b"x"), ("large", os.urandom(3 << 20))):
        builder = ImageBuilder()
        builder.add_image([layer([file("data", data)])], tag=name)
        found.append(builder.write(tmp_path / name))
    return found[0], found[1]


@pytest.mark.parametrize("verb", ["pull", "load", "import"])
def test_a_full_disk_keeps_what_it_had_and_gives_back_the_rest(
    verb: str, layouts: tuple[Path, Path], registry: Registry, tmp_path: Path
) -> None:
    small, large = layouts
    publish(large, registry.storage, "large")
    (tmp_path / "large.tar").write_bytes(make_tar([file("data", os.urandom(3 << 20))]))
    store = tmp_path / "store"
    store.mkdir()
    command = {
        "pull": f"pull -q {registry.address}/large:large",
        "load": f"load -q -i {large}",
        "import": f"import -q {tmp_path}/large.tar x:1",
    }[verb]

    result = in_namespace(
        f"mount -t tmpfs -o size={SMALL} none {store} || exit 99; lstore='{LSTORE} {store}'\n"
        f"$lstore load -q -i {small} >/dev/null; $lstore {command}; echo $?\n"
        f"$lstore fsck -q; $lstore images --format '{{{{.Repository}}}}'; $lstore system prune -f >/dev/null; echo $?"
    )

    assert result.stdout.splitlines() == ["1", "The store is clean", "small", "0"]
    assert_told(result.stderr, "no space left on device")


def test_a_run_on_a_full_disk_says_so_with_dockers_status(layouts: tuple[Path, Path], tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()

    result = in_namespace(
        f"mount -t tmpfs -o size={SMALL} none {store} || exit 99; lstore='{LSTORE} {store}'\n"
        f"$lstore load -q -i {layouts[0]} >/dev/null; head -c 9000000 /dev/zero > {store}/filler 2>/dev/null\n"
        f"$lstore run --rm small /data; echo $?; rm {store}/filler; $lstore fsck -q"
    )

    assert result.stdout.splitlines() == ["125", "The store is clean"]
    assert_told(result.stderr, "no space left on device")


def test_a_store_on_a_read_only_disk_can_be_looked_at(layouts: tuple[Path, Path], tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()

    result = in_namespace(
        f"mount -t tmpfs none {store} || exit 99; lstore='{LSTORE} {store}'\n"
        f"$lstore load -q -i {layouts[0]} >/dev/null; $lstore create small /data >/dev/null\n"
        f"mount -o remount,ro {store} || exit 99\n"
        f"$lstore images -q | wc -l; $lstore ps -aq | wc -l; $lstore fsck -q\n"
        f"$lstore system df --format '{{{{.Type}}}} {{{{.TotalCount}}}}'"
    )

    assert result.stderr == ""
    assert result.stdout.splitlines()[:5] == ["1", "1", "The store is clean", "Images 1", "Containers 1"]


@pytest.mark.parametrize("command", ["images", "load -q -i {small}", "import -q {small}/index.json"])
def test_a_root_that_cannot_be_written_is_told(
    command: str, layouts: tuple[Path, Path], tmp_path: Path
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()

    result = in_namespace(
        f"mount -t tmpfs -o ro none {closed} || exit 99\n"
        f"{LSTORE} {closed}/store {command.format(small=layouts[0])}"
    )

    assert result.returncode == 1
    first, *rest = result.stderr.splitlines()
    assert first.startswith(f"lstore: cannot make a store at {closed}/store: read-only file system")
    assert all(line.startswith("  try: ") for line in rest)
