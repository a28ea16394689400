"""Files appear whole or not at all, and nothing temporary stays behind."""

import os
from pathlib import Path

import pytest

from layerstore.disk.publish import (
    TEMPORARY_PREFIX,
    make_directories,
    move,
    remove_file,
    stage_bytes,
    sync_descriptor,
    sync_directory,
    sync_file,
    write_file,
)


def test_a_written_file_holds_exactly_the_bytes_and_nothing_lies_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"a much longer old content")

    write_file(str(path), b"new")

    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["file"]


def test_a_file_that_cannot_take_its_place_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "taken" / "child").mkdir(parents=True)

    with pytest.raises(OSError, match="taken"):
        write_file(str(tmp_path / "taken"), b"new")

    assert os.listdir(tmp_path) == ["taken"]


def test_who_reads_while_a_file_is_replaced_sees_the_old_bytes(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    with path.open("rb") as reader:
        write_file(str(path), b"new")

        assert reader.read() == b"old"


def test_staged_bytes_are_not_visible_until_they_are_moved(tmp_path: Path) -> None:
    path = tmp_path / "file"

    staged = stage_bytes(str(path), b"data", mode=0o600)

    assert not path.exists()
    assert os.path.basename(staged).startswith(TEMPORARY_PREFIX)
    move(staged, str(path))
    assert path.read_bytes() == b"data"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_temporary_file_never_follows_a_planted_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    canary = tmp_path / "canary"
    canary.write_bytes(b"unharmed")
    monkeypatch.setattr(os, "urandom", bytes)
    (tmp_path / f"{TEMPORARY_PREFIX}file.00000000").symlink_to(canary)

    with pytest.raises(FileExistsError):
        write_file(str(tmp_path / "file"), b"data")

    assert canary.read_bytes() == b"unharmed"


def test_directories_are_made_with_their_parents_and_their_mode(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b"

    make_directories(str(path), mode=0o700)
    make_directories(str(path), mode=0o755)

    assert path.stat().st_mode & 0o777 == 0o700


def test_removing_is_idempotent(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    remove_file(str(tmp_path / "file"))
    remove_file(str(tmp_path / "file"))

    assert os.listdir(tmp_path) == []


def test_syncing_leaves_no_descriptor_open(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"data")
    before = os.listdir("/proc/self/fd")

    sync_file(str(path))
    sync_directory(str(tmp_path))
    with path.open("rb") as stream:
        sync_descriptor(stream.fileno())

    assert os.listdir("/proc/self/fd") == before


def test_syncing_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/passwd")

    with pytest.raises(OSError, match="link"):
        sync_file(str(tmp_path / "link"))
