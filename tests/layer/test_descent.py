"""`layerstore.layer.descent`: a walk comes back to where it was, or says that it cannot."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from layerstore.layer.descent import MAX_OPEN, Descent

DEPTH = MAX_OPEN + 20


@pytest.fixture
def chain(tmp_path: Path) -> Path:
    """Directories one in the other, more than stay open."""
    tmp_path.joinpath("top", *["d"] * DEPTH).mkdir(parents=True)
    return tmp_path / "top"


@pytest.fixture
def walk(chain: Path) -> Iterator[Descent]:
    """A walk that stands in the lowest directory."""
    root = os.open(chain, os.O_RDONLY)
    descent = Descent(root)
    os.close(root)
    for _ in range(DEPTH):
        descent.enter(b"d")
    yield descent
    descent.close()


def leave(walk: Descent, levels: int = 1) -> None:
    for _ in range(levels):
        os.close(walk.leave())


def test_leaving_leads_back_to_the_same_directories(chain: Path, walk: Descent) -> None:
    for level in range(DEPTH - 1, -1, -1):
        leave(walk)

        assert os.path.samestat(os.fstat(walk.fd), os.stat(chain.joinpath(*["d"] * level)))


def test_a_directory_moved_meanwhile_is_not_left_for_another_parent(chain: Path, walk: Descent) -> None:
    elsewhere = chain.parent / "elsewhere"
    elsewhere.mkdir()
    os.rename(chain / "d" / "d", elsewhere / "d")

    with pytest.raises(OSError, match="moved meanwhile"):
        leave(walk, DEPTH)


def test_a_symlink_is_not_entered(chain: Path, walk: Descent) -> None:
    os.symlink("/", "link", dir_fd=walk.fd)

    with pytest.raises(NotADirectoryError):
        walk.enter(b"link")


def test_closing_leaves_nothing_open(chain: Path) -> None:
    before = os.listdir("/proc/self/fd")
    root = os.open(chain, os.O_RDONLY)
    descent = Descent(root)
    os.close(root)
    for _ in range(DEPTH):
        descent.enter(b"d")

    descent.close()

    assert os.listdir("/proc/self/fd") == before
