"""Locks keep others out, tell when their file is gone, and end with their holder."""

import multiprocessing
import os
from pathlib import Path

import pytest

from layerstore.disk import locks
from layerstore.disk.locks import open_lock


def test_who_has_the_lock_alone_keeps_everybody_out(tmp_path: Path) -> None:
    first, second = (open_lock(str(tmp_path / "lock")) for _ in range(2))
    first.exclusive()

    assert not second.try_exclusive()
    assert not second.try_shared()

    first.close()
    assert second.try_exclusive()
    second.close()


def test_sharers_keep_out_only_who_wants_it_alone(tmp_path: Path) -> None:
    first, second, third = (open_lock(str(tmp_path / "lock")) for _ in range(3))
    first.shared()

    assert second.try_shared()
    assert not third.try_exclusive()

    for lock in (first, second, third):
        lock.close()


def test_falling_back_to_a_shared_lock_lets_others_share(tmp_path: Path) -> None:
    first, second = (open_lock(str(tmp_path / "lock")) for _ in range(2))
    first.exclusive()

    first.shared()

    assert second.try_shared()
    first.close()
    second.close()


def test_a_lock_whose_file_was_removed_or_replaced_is_not_current(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    lock = open_lock(str(path))
    assert lock.is_current()

    path.unlink()
    assert not lock.is_current()

    path.write_bytes(b"")
    assert not lock.is_current()
    lock.close()


def test_a_lock_ends_with_its_block_even_after_an_error(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")

    with pytest.raises(RuntimeError), locks.exclusive(path):
        raise RuntimeError

    with locks.shared(path), locks.shared(path):
        pass


def _die_with(path: str) -> None:
    open_lock(path).exclusive()
    os.kill(os.getpid(), 9)


def test_a_lock_ends_with_a_process_that_is_killed(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    process = multiprocessing.get_context("spawn").Process(target=_die_with, args=(path,))

    process.start()
    process.join()

    lock = open_lock(path, create=False)
    assert lock.try_exclusive()
    lock.close()


def test_a_lock_is_never_made_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(OSError, match="lock"):
        open_lock(str(tmp_path / "lock"))

    assert not (tmp_path / "elsewhere").exists()


def test_what_is_appended_is_in_the_file(tmp_path: Path) -> None:
    lock = open_lock(str(tmp_path / "lock"))

    lock.append(b"one")
    lock.append(b"two")

    assert (tmp_path / "lock").read_bytes() == b"onetwo"
    lock.close()


def test_closing_is_idempotent(tmp_path: Path) -> None:
    lock = open_lock(str(tmp_path / "lock"))

    lock.close()
    lock.close()
