"""docs/security.md, "Applying and loading archives", through `layerstore.layer.apply`: the outside stays as it is."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fixtures.canary import watched_canary
from fixtures.images.entries import directory, file, make_tar, opaque
from fixtures.images.hostile import (
    CANARY_FILE,
    Stack,
    escaping_stacks,
    smuggling_stacks,
    whiteout_stacks,
)
from fixtures.trees import tree_facts
from layerstore.errors import InvalidLayer, LimitExceeded
from layerstore.layer.apply import apply_tree
from layerstore.layer.changeset import read_changes
from layerstore.layer.ownership import Ownership
from layerstore.layer.source import TarFile
from layerstore.layer.tar import read_entries
from layerstore.layer.tree import Tree

CANARY = "/canary"  # only names the cases; each test has a canary of its own
REFUSED = (InvalidLayer, LimitExceeded)


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    """A directory outside of the root filesystem; at the end it must be what it was, to the times of change."""
    with watched_canary(tmp_path / "canary") as outside:
        around = sorted(os.listdir(tmp_path.parent))
        yield outside
        assert sorted(os.listdir(tmp_path.parent)) == around


@pytest.fixture
def write(tmp_path: Path) -> Callable[[Stack], Path]:
    """Applies a stack to a directory beside the canary's, and names it."""

    def write_stack(stack: Stack) -> Path:
        tree, tars = Tree(), []
        target = tmp_path / "fs"
        target.mkdir()
        try:
            for number, layer in enumerate(stack):
                (tmp_path / f"{number}.tar").write_bytes(make_tar(layer))
                tars.append(os.open(tmp_path / f"{number}.tar", os.O_RDONLY))
                tree.apply(read_changes(read_entries(TarFile(tars[-1]))))
            tars.append(os.open(target, os.O_RDONLY))
            apply_tree(tree.root, tars, tars[-1], ownership=Ownership.of_process())
        finally:
            for fd in tars:
                os.close(fd)
        return target

    return write_stack


@pytest.mark.root
@pytest.mark.parametrize("name", escaping_stacks(CANARY))
def test_no_stack_reaches_outside(name: str, canary: Path, write: Callable[[Stack], Path]) -> None:
    stack = escaping_stacks(str(canary))[name]

    try:
        target = write(stack)
    except REFUSED:
        return

    for path in tree_facts(target):
        assert not (target / path).samefile(canary / CANARY_FILE) or (target / path).is_symlink()


@pytest.mark.parametrize("name", whiteout_stacks())
def test_no_whiteout_removes_the_root_or_more_than_it_names(
    name: str, canary: Path, write: Callable[[Stack], Path]
) -> None:
    try:
        target = write(whiteout_stacks()[name])
    except REFUSED:
        return

    is_hidden = name == "opaque marker at the root"
    assert (target / "etc" / "hosts").exists() is not is_hidden
    assert not [path for path in tree_facts(target) if ".wh." in path]


@pytest.mark.root
@pytest.mark.parametrize("name", smuggling_stacks())
def test_no_mark_of_overlayfs_gets_through(name: str, canary: Path, write: Callable[[Stack], Path]) -> None:
    target = write(smuggling_stacks()[name])

    facts = tree_facts(target, has_overlay_marks=True)
    assert facts["etc/hosts"].kind == "-"
    assert not [mark for fact in facts.values() for mark in fact.xattrs]


def test_a_hundred_thousand_opaque_markers_take_linear_time(
    canary: Path, write: Callable[[Stack], Path]
) -> None:
    base = [directory("d"), *(file(f"d/{number}") for number in range(2000))]
    markers = [opaque("d")] * 100_000

    target = write([base, markers])

    assert os.listdir(target / "d") == []
