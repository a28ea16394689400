"""rmi, prunes, df and mount know which images containers stand on, as docker does."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers.conftest import Lstore

pytestmark = pytest.mark.root


@pytest.fixture
def image(lstore: Lstore) -> Iterator[str]:
    """The id of an image of its own, called mine:1."""
    lstore("create", "--name", "source", "busybox")
    yield lstore("commit", "source", "mine:1")
    left = lstore("ps", "-aq").split()
    lstore("rm", "-f", *left) if left else None
    lstore("image", "prune", "-f")
    lstore.call("rmi", "mine:1")


def test_a_layer_that_lost_its_end_is_told_of_and_repaired(tmp_path: Path, busybox_layout: Path) -> None:
    own = Lstore(tmp_path / "store")
    own("load", "-q", "-i", str(busybox_layout))
    (tar,) = (own.root / "layers").glob("*/tar")
    os.truncate(tar, 4096)

    damaged = own.call("run", "--rm", "busybox", "true")
    own.call("fsck", "--quiet", "--repair")

    assert damaged.returncode == 125
    assert damaged.stderr.splitlines()[-2:] == [
        "lstore: cannot read the container's image: it is damaged",
        "  try: lstore fsck --repair",
    ]
    assert own("run", "--rm", "busybox", "echo", "whole again") == "whole again"


def names(lstore: Lstore) -> list[str]:
    return lstore("images", "--format", "{{.Repository}}:{{.Tag}}").split()


def begin(lstore: Lstore, kind: str) -> None:
    """A container called user, of mine:1."""
    if kind == "running":
        lstore.detached("--name", "user", "mine:1", "sleep", "1000")
    else:
        lstore("create", "--name", "user", "mine:1", "cat", "/etc/hostname")


@pytest.mark.parametrize("kind", ["running", "stopped"])
def test_the_last_name_of_an_image_in_use_stays(lstore: Lstore, image: str, kind: str) -> None:
    begin(lstore, kind)

    for text in ("mine:1", image):
        assert "container user " in lstore.refused("rmi", text)

    assert "mine:1" in names(lstore)


def test_another_name_of_an_image_in_use_goes(lstore: Lstore, image: str) -> None:
    begin(lstore, "running")
    lstore("tag", "mine:1", "mine:2")

    assert lstore("rmi", "mine:2") == "Untagged: mine:2"
    assert "container user " in lstore.refused("rmi", "mine:1")

    lstore("tag", "mine:1", "mine:2")
    done = lstore.call("rmi", "mine:1", "mine:2")
    assert (done.returncode, done.stdout) == (1, "Untagged: mine:1\n")
    lstore("tag", "mine:2", "mine:1")
    lstore("rmi", "mine:2")


@pytest.mark.parametrize("by", ["name", "id"])
def test_force_takes_the_image_of_a_stopped_container_which_still_starts(
    lstore: Lstore, image: str, by: str
) -> None:
    begin(lstore, "stopped")

    removed = lstore("rmi", "-f", "mine:1" if by == "name" else image)

    assert removed.splitlines() == ["Untagged: mine:1", f"Deleted: {image}"]
    assert lstore("start", "-a", "user").strip() != ""
    assert not (lstore.root / "content/blobs/sha256" / image.removeprefix("sha256:")).exists()


def test_force_takes_only_the_name_from_the_image_of_a_running_container(lstore: Lstore, image: str) -> None:
    begin(lstore, "running")

    error = lstore.refused("rmi", "-f", image)
    removed = lstore("rmi", "-f", "mine:1")

    assert "container user is running" in error
    assert removed == "Untagged: mine:1"
    assert lstore("images", "-q", "--no-trunc", "--filter", "dangling=true") == image
    assert (lstore.root / "content/blobs/sha256" / image.removeprefix("sha256:")).exists()
    lstore("rm", "-f", "user")
    assert lstore("rmi", image) == f"Deleted: {image}"


def test_a_system_prune_says_and_removes_stopped_containers_and_then_their_images(
    lstore: Lstore, image: str
) -> None:
    begin(lstore, "stopped")
    lstore("tag", "mine:1", "kept:1")
    running = lstore.detached("--name", "run", "busybox", "sleep", "1000")
    stopped = lstore("ps", "-aq", "--no-trunc", "--filter", "status=created").split()

    asked = lstore.call("system", "prune", stdin=b"n\n")
    lstore("system", "prune", "-f", "--filter", "until=24h")
    assert len(lstore("ps", "-aq").split()) == 3
    told = lstore("system", "prune", "-f")

    assert "  - all stopped containers\n" in asked.stdout
    assert told.splitlines()[:3] == ["Deleted Containers:", *stopped]
    assert lstore("ps", "-aq", "--no-trunc") == running
    assert sorted(os.listdir(lstore.root / "snapshots/active")) == [running]
    assert {"kept:1", "mine:1"} <= set(names(lstore))
    lstore("rmi", "kept:1")


@pytest.mark.parametrize("kind", ["running", "stopped"])
def test_a_prune_of_all_images_spares_those_that_containers_were_made_of_not_those_with_the_same_layers(
    lstore: Lstore, image: str, kind: str
) -> None:
    """As docker does (moby, daemon/containerd/image_prune.go), which goes by the image, too."""
    begin(lstore, kind)
    layers = lstore("inspect", "--type", "image", "--format", "{{json .RootFS.Layers}}", "mine:1")
    twin = lstore("commit", "-c", "ENV TWIN=1", "source", "twin:1")
    assert lstore("inspect", "--format", "{{json .RootFS.Layers}}", "twin:1") == layers
    lstore("tag", "mine:1", "mine:2")

    told = lstore("image", "prune", "-af").splitlines()

    assert {"untagged: twin:1", f"deleted: {twin}"} <= set(told)
    assert sorted(names(lstore)) == ["busybox:latest", "mine:1", "mine:2"]
    lstore("rm", "-f", "user")
    lstore("image", "prune", "-af")
    assert names(lstore) == ["busybox:latest"]


def test_a_prune_of_all_images_spares_what_is_mounted(lstore: Lstore, image: str, tmp_path: Path) -> None:
    lstore("mount", "mine:1", str(tmp_path))

    lstore("image", "prune", "-af")
    kept = names(lstore)
    lstore("umount", str(tmp_path))

    assert sorted(kept) == ["busybox:latest", "mine:1"]


def test_disk_usage_counts_images_that_containers_or_mounts_use(
    lstore: Lstore, image: str, tmp_path: Path
) -> None:
    form = "{{.Type}}|{{.TotalCount}}|{{.Active}}"
    lstore("rm", "source")

    idle = lstore("system", "df", "--format", form).splitlines()
    begin(lstore, "stopped")
    stopped = lstore("system", "df", "--format", form).splitlines()
    lstore("start", "user")
    lstore("rm", "-f", "user")
    lstore("mount", "mine:1", str(tmp_path))
    mounted = lstore("system", "df", "--format", form).splitlines()
    lstore("umount", str(tmp_path))

    assert idle[:2] == ["Images|2|0", "Containers|0|0"]
    assert stopped[:2] == ["Images|2|1", "Containers|1|0"]
    assert mounted[:2] == ["Images|2|1", "Containers|0|0"]


def test_a_container_is_mounted_and_unmounted_by_its_name(lstore: Lstore, tmp_path: Path) -> None:
    identity = lstore("create", "--name", "box", "busybox")
    (tmp_path / "hello").write_text("hello")
    (tmp_path / "at").mkdir()
    lstore("cp", str(tmp_path / "hello"), "box:/hello")

    lstore("mount", "box", str(tmp_path / "at"))
    seen = (tmp_path / "at" / "hello").read_text()
    lstore("umount", "box")
    place = lstore("mount", identity)
    also_seen = Path(place, "hello").read_text()
    lstore("umount", "box")

    assert seen == also_seen == "hello"
    assert str(tmp_path / "at") not in Path("/proc/mounts").read_text()
    assert not Path(place).exists()
