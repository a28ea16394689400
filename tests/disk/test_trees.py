"""Trees are measured as du does, and removed whole, whatever is in them."""

import os
import subprocess
import threading
from pathlib import Path

import pytest

from layerstore.disk import trees
from layerstore.disk.publish import TEMPORARY_PREFIX
from layerstore.disk.trees import Meter, Usage, remove_tree, remove_trees, set_aside, sync_tree


def grow(root: Path) -> Path:
    (root / "deep" / "er").mkdir(parents=True)
    (root / "file").write_bytes(b"x" * 10_000)
    (root / "deep" / "er" / "file").write_bytes(b"y")
    os.link(root / "file", root / "deep" / "hardlink")
    (root / "link").symlink_to("/etc")
    (root / "sparse").touch()
    os.truncate(root / "sparse", 1 << 30)
    return root


def test_a_tree_measures_what_du_says(tmp_path: Path) -> None:
    root = grow(tmp_path / "tree")
    said = subprocess.run(["du", "-s", "--block-size=1", root], capture_output=True, check=True).stdout

    usage = Meter().measure(str(root))

    assert usage.size == int(said.split()[0])
    assert usage.inodes == 7


def test_a_hardlink_counts_once_for_one_meter(tmp_path: Path) -> None:
    root = grow(tmp_path / "tree")
    meter = Meter()
    meter.measure(str(root / "file"))

    assert meter.measure(str(root / "deep" / "hardlink")) == Usage()


def test_what_is_not_there_takes_nothing(tmp_path: Path) -> None:
    assert Meter().measure(str(tmp_path / "missing")) == Usage()


@pytest.mark.root
def test_what_is_mounted_inside_a_tree_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "mounted").mkdir()
    script = 'mount -t tmpfs none "$1/mounted" && dd if=/dev/zero of="$1/mounted/x" bs=1M count=1 status=none'
    measure = (
        "import sys; from layerstore.disk.trees import Meter; print(Meter().measure(sys.argv[1]).inodes)"
    )
    command = f'{script} && exec python3 -c "{measure}" "$1"'

    said = subprocess.run(
        ["unshare", "--mount", "sh", "-c", command, "sh", tmp_path], capture_output=True, check=True
    ).stdout

    assert int(said) == 1


def test_a_removed_tree_is_gone_and_what_its_links_name_is_not(tmp_path: Path) -> None:
    root = grow(tmp_path / "tree")
    (root / "deep" / "canary").symlink_to(tmp_path / "canary")
    (tmp_path / "canary").mkdir()

    remove_tree(str(root))
    remove_tree(str(root))

    assert os.listdir(tmp_path) == ["canary"]


def test_a_link_is_removed_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "canary").mkdir()
    (tmp_path / "link").symlink_to("canary")

    remove_tree(str(tmp_path / "link"))

    assert os.listdir(tmp_path) == ["canary"]


def test_directories_that_nobody_may_enter_are_removed(tmp_path: Path) -> None:
    root = grow(tmp_path / "tree")
    (root / "deep" / "er").chmod(0)
    (root / "deep").chmod(0)
    root.chmod(0o500)

    remove_tree(str(root))

    assert not root.exists()


def test_no_depth_of_nesting_is_too_deep(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    root.mkdir()
    top = os.open(root, os.O_RDONLY)
    current = os.dup(top)
    for _ in range(3000):
        os.mkdir("d", dir_fd=current)
        deeper = os.open("d", os.O_RDONLY, dir_fd=current)
        os.close(current)
        current = deeper
    os.close(current)
    os.close(top)

    remove_tree(str(root))

    assert not root.exists()


def test_two_removals_of_one_tree_both_succeed(tmp_path: Path) -> None:
    failures: list[BaseException] = []

    def remove(path: Path) -> None:
        try:
            remove_tree(str(path))
        except BaseException as error:
            failures.append(error)

    for attempt in range(10):
        root = tmp_path / str(attempt)
        for number in range(40):
            (root / str(number) / "a" / "b").mkdir(parents=True)
            (root / str(number) / "a" / "file").touch()
        threads = [threading.Thread(target=remove, args=(root,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert failures == []
    assert os.listdir(tmp_path) == []


def test_what_is_set_aside_is_out_of_sight_and_whole(tmp_path: Path) -> None:
    root = grow(tmp_path / "tree")
    before = Meter().measure(str(root))

    aside = set_aside(str(root))

    assert not root.exists()
    assert os.path.basename(aside).startswith(f"{TEMPORARY_PREFIX}tree.")
    assert Meter().measure(aside) == before


def test_trees_are_removed_together_and_missing_ones_passed_over(tmp_path: Path) -> None:
    roots = [grow(tmp_path / name) for name in ("one", "two")]

    remove_trees([*map(str, roots), str(tmp_path / "missing")])

    assert os.listdir(tmp_path) == []


def test_every_file_and_directory_of_a_small_tree_is_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = grow(tmp_path / "tree")
    synced: list[str] = []
    monkeypatch.setattr(trees, "sync_file", synced.append)
    monkeypatch.setattr(trees, "sync_directory", synced.append)

    sync_tree(str(root))

    names = ("", "deep", "deep/er", "file", "sparse", "deep/hardlink", "deep/er/file")
    assert sorted(synced) == sorted(str(root / name) for name in names)


def test_a_large_tree_is_synced_with_its_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(100):
        (tmp_path / str(number)).touch()
    synced: list[str] = []
    monkeypatch.setattr(trees, "syncfs", lambda fd: synced.append(os.readlink(f"/proc/self/fd/{fd}")))

    sync_tree(str(tmp_path))

    assert synced == [str(tmp_path)]


def test_syncing_what_is_gone_does_nothing(tmp_path: Path) -> None:
    sync_tree(str(tmp_path / "gone"))


@pytest.fixture
def deep(tmp_path: Path) -> Path:
    """A tree whose bottom is too far down for a path, with a file there."""
    root = tmp_path / "root"
    root.mkdir()
    here = os.open(root, os.O_RDONLY)
    for _ in range(50):
        os.mkdir("d" * 200, dir_fd=here)
        below = os.open("d" * 200, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("bottom", os.O_WRONLY | os.O_CREAT, 0o600, dir_fd=here))
    os.close(here)
    return root


def test_what_is_too_deep_for_a_path_is_measured_synced_and_removed(
    deep: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(trees, "syncfs", synced.append)

    assert Meter().measure(str(deep)).inodes == 52
    sync_tree(str(deep))
    remove_tree(str(deep))

    assert len(synced) == 1
    assert not deep.exists()
