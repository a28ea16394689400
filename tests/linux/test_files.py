"""The system calls on files do what their manual pages say, and name themselves when they fail."""

import errno
import os
import threading
from pathlib import Path

import pytest

from layerstore import linux


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    inside = tmp_path / "inside"
    (inside / "etc").mkdir(parents=True)
    (tmp_path / "secret").write_text("outside")
    (inside / "secret").write_text("inside")
    (inside / "absolute").symlink_to("/secret")
    (inside / "climbing").symlink_to("../../secret")
    return inside


def open_in(directory: Path, name: str, resolve: int) -> str:
    root = os.open(directory, os.O_PATH)
    try:
        with open(linux.openat2(root, name, os.O_RDONLY, resolve=resolve)) as file:
            return file.read()
    finally:
        os.close(root)


@pytest.mark.parametrize("name", ["absolute", "climbing", "/secret", "../../../secret"])
def test_in_root_every_path_stays_inside(tree: Path, name: str) -> None:
    assert open_in(tree, name, linux.RESOLVE_IN_ROOT) == "inside"


@pytest.mark.parametrize("name", ["absolute", "climbing", "../secret"])
def test_beneath_refuses_what_would_leave(tree: Path, name: str) -> None:
    with pytest.raises(OSError, match="openat2") as caught:
        open_in(tree, name, linux.RESOLVE_BENEATH)

    assert caught.value.errno == errno.EXDEV
    assert caught.value.filename == name


def test_no_symlinks_refuses_a_link(tree: Path) -> None:
    with pytest.raises(OSError, match="openat2") as caught:
        open_in(tree, "absolute", linux.RESOLVE_NO_SYMLINKS | linux.RESOLVE_IN_ROOT)

    assert caught.value.errno == errno.ELOOP


def test_a_path_with_a_nul_is_refused_rather_than_cut(tree: Path) -> None:
    with pytest.raises(ValueError, match="null byte"):
        open_in(tree, "secret\0.txt", linux.RESOLVE_IN_ROOT)


def test_descriptors_do_not_survive_exec(tree: Path) -> None:
    fd = linux.openat2(linux.AT_FDCWD, str(tree), os.O_PATH)

    inheritable = os.get_inheritable(fd)

    os.close(fd)
    assert not inheritable


def test_syncfs_takes_any_descriptor_and_names_itself_when_it_fails(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)

    linux.syncfs(fd)

    os.close(fd)
    with pytest.raises(OSError, match="syncfs: Bad file descriptor"):
        linux.syncfs(-1)


def test_close_range_closes_exactly_the_range() -> None:
    first = os.dup(0)
    fds = [first, *(os.dup(0) for _ in range(3))]
    high = [fd for fd in fds if fd > first]

    linux.close_range(min(high), max(high))

    os.close(first)
    for fd in high:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)


def test_lookups_stay_inside_while_directories_move(tree: Path) -> None:
    """A rename racing with ".." makes the kernel say EAGAIN; the call retries rather than fail or escape."""
    (tree / "etc" / "deep").mkdir()
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            os.rename(tree / "etc" / "deep", tree / "moved")
            os.rename(tree / "moved", tree / "etc" / "deep")

    mover = threading.Thread(target=swap)
    mover.start()
    try:
        found = {open_in(tree, "etc/../../../secret", linux.RESOLVE_IN_ROOT) for _ in range(300)}
    finally:
        stop.set()
        mover.join()

    assert found == {"inside"}


def test_sync_file_range_takes_a_range_and_names_itself_when_it_fails(tmp_path: Path) -> None:
    with open(tmp_path / "file", "wb", buffering=0) as file:
        file.write(bytes(1 << 20))

        linux.sync_file_range(file.fileno(), 1 << 12, 1 << 19, linux.SYNC_FILE_RANGE_WRITE)

    with pytest.raises(OSError, match="sync_file_range: Bad file descriptor"):
        linux.sync_file_range(-1, 0, 1, linux.SYNC_FILE_RANGE_WRITE)
