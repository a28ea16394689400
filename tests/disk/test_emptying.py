"""Trees are emptied several files at a time, and nothing outside of them is touched."""

import os
from pathlib import Path

import pytest

from layerstore.disk import emptying
from layerstore.disk.emptying import unlink_files
from layerstore.disk.removal import remove_tree


def test_files_of_every_directory_go_and_directories_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emptying, "_BATCHES", 3)
    for number in range(700):
        place = tmp_path / "tree" / str(number % 7) / str(number % 3)
        place.mkdir(parents=True, exist_ok=True)
        (place / f"file {number}").write_text("x")
    (tmp_path / "tree" / "fifo").touch()

    unlink_files(str(tmp_path / "tree"))

    left = list((tmp_path / "tree").rglob("*"))
    assert len(left) == 7 + 21
    assert all(path.is_dir() for path in left)


def test_links_are_removed_and_never_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "kept").touch()
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "link").symlink_to(tmp_path / "outside")
    (tmp_path / "another").symlink_to(tmp_path / "outside")

    unlink_files(str(tmp_path / "tree"))
    unlink_files(str(tmp_path / "another"))

    assert os.listdir(tmp_path / "tree") == []
    assert os.listdir(tmp_path / "outside") == ["kept"]


def test_what_cannot_be_reached_is_left_to_the_removal_of_the_tree(tmp_path: Path) -> None:
    top = tmp_path / "tree"
    top.mkdir()
    here = os.open(top, os.O_RDONLY)
    for _ in range(60):  # deeper than a path can be
        os.mkdir("d" * 100, dir_fd=here)
        below = os.open("d" * 100, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)

    unlink_files(str(top))
    remove_tree(str(top))

    assert not top.exists()


def test_a_tree_that_is_gone_is_none_of_its_business(tmp_path: Path) -> None:
    unlink_files(str(tmp_path / "missing"))


def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    for number in range(300):
        (tmp_path / f"{number}").touch()
    before = os.listdir("/proc/self/fd")

    unlink_files(str(tmp_path))

    assert os.listdir("/proc/self/fd") == before
