"""Directories of trees that come and go are told to the file system, where that is of use to it."""

import subprocess
from pathlib import Path

import pytest

from layerstore.disk.placement import spread


def flags(directory: Path) -> str:
    """As lsattr(1) shows them; skips where the file system has none."""
    shown = subprocess.run(["lsattr", "-d", directory], capture_output=True, text=True, check=False)
    if shown.returncode:
        pytest.skip("this file system has no such flags")
    return shown.stdout.split()[0]


@pytest.mark.package("e2fsprogs")
def test_a_directory_of_trees_is_the_top_of_them(tmp_path: Path) -> None:
    before = flags(tmp_path)
    if "e" not in before:
        pytest.skip("this is no ext4")

    spread(str(tmp_path))
    (tmp_path / "tree").mkdir()

    assert set(flags(tmp_path)) == set(before) | {"T"}
    assert "T" not in flags(tmp_path / "tree")


def test_a_file_system_without_the_flag_is_left_alone() -> None:
    spread("/proc/self")
    spread("/nonexistent")
