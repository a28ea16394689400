"""Stacks of layers of our own over a merged index show what one merged index of all of them shows."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from fixtures.images.entries import Entry, directory, file, hardlink, make_tar, opaque, symlink, whiteout
from fixtures.namespaces import in_mount_namespace
from fixtures.trees import differences, tree_facts
from layerstore.layer.ingest import LayerWriter
from layerstore.layer.merge import MAX_STACKED
from layerstore.mount import ErofsImage, MountStack
from layerstore.snapshot import overlay
from layerstore.snapshot.erofs import ErofsDriver
from layerstore.snapshot.stacked import StackingDriver
from layerstore.store.forms import FORMS

pytestmark = pytest.mark.root

BASE = (
    replace(directory(""), mode=0o750, uid=7, gid=8, mtime=1_000_000_000),
    directory("etc", mode=0o711),
    file("etc/kept", b"kept"),
    file("etc/gone", b"gone"),
    directory("var"),
    file("var/log", b"log"),
    hardlink("var/twin", "var/log"),
    symlink("lib", "etc"),
)
IMPLYING = (file("var/made", b"without its directory"),)
STEPS: Sequence[Sequence[Entry]] = (
    (directory("etc", mode=0o711), whiteout("etc/gone"), file("etc/new", b"new")),
    (whiteout("var"),),
    (directory("var", mode=0o700), file("var/log", b"another")),
    (directory("etc"), opaque("etc"), file("etc/only", b"only", uid=5)),
    (replace(directory(""), mode=0o1777, uid=1, gid=2, xattrs={"user.of": b"root"}), file("marked")),
    (whiteout("lib"), directory("srv"), file("srv/a", b"a"), hardlink("srv/b", "srv/a")),
    (directory("lib"), file("lib/x", b"x"), directory("srv"), whiteout("srv/a")),
)


class Place:
    """Layers and what is assembled of them, in one directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.layers: list[str] = []
        self.assembled: str | None = None

    def add(self, entries: Sequence[Entry], *, is_ours: bool = True) -> None:
        """One layer more."""
        layer = self._directory / f"layer-{len(self.layers)}"
        layer.mkdir()
        with LayerWriter(str(layer)) as writer:
            writer.write(make_tar(entries))
            writer.finish()
        if is_ours:
            (layer / FORMS).touch()
        self.layers.append(str(layer))

    def stack(self) -> MountStack:
        """What the driver makes of all layers, on what it made before."""
        path = self._directory / f"stack-{len(self.layers)}"
        path.mkdir()
        driver = StackingDriver()
        driver.assemble(self.layers, str(path), self.assembled)
        self.assembled = str(path)
        return MountStack(driver.lowers(self.layers, self.assembled))

    def merge(self) -> MountStack:
        """One index of all layers."""
        path = self._directory / f"merged-{len(self.layers)}"
        path.mkdir()
        ErofsDriver().assemble(self.layers, str(path), None)
        return MountStack(ErofsDriver().lowers(self.layers, str(path)))

    def assert_shows_the_same(self, stacked: MountStack, merged: MountStack) -> None:
        """All but which names are one file, which overlayfs forgets where a layer below has some of them."""
        targets = [self._directory / name for name in ("see-stacked", "see-merged")]
        for target in targets:
            target.mkdir(exist_ok=True)

        def look() -> None:
            for stack, target in zip((stacked, merged), targets, strict=True):
                overlay.attach(stack, str(target))
            seen = [
                {path: replace(facts, names=()) for path, facts in tree_facts(target).items()}
                for target in targets
            ]
            assert differences(*seen) == {}

        in_mount_namespace(look)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def merged_count(stack: MountStack) -> int:
    """How many layers the lowest lower is made of."""
    assert isinstance(stack.lowers[-1], ErofsImage)
    return len(stack.lowers[-1].devices)


def test_each_step_shows_what_a_merge_would(place: Place) -> None:
    place.add(BASE, is_ours=False)

    for step in STEPS:
        place.add(step)
        stacked = place.stack()
        assert merged_count(stacked) == 1
        place.assert_shows_the_same(stacked, place.merge())


def test_the_root_is_the_topmost_that_a_layer_has(place: Place) -> None:
    driver = StackingDriver()
    place.add(BASE, is_ours=False)
    found = []

    for step in STEPS:
        place.add(step)
        place.stack()
        assert place.assembled is not None
        found.append(driver.root(place.layers, place.assembled))

    assert found == [(0o750, 7, 8)] * 4 + [(0o1777, 1, 2)] * 3


def test_layers_from_elsewhere_are_merged_first(place: Place) -> None:
    place.add(BASE, is_ours=False)
    place.add(STEPS[0], is_ours=False)
    place.add(STEPS[1])

    stacked = place.stack()

    assert merged_count(stacked) == 2
    place.assert_shows_the_same(stacked, place.merge())


def test_a_layer_that_overlayfs_shows_wrong_is_merged_with_all_below(place: Place) -> None:
    for step in (BASE, STEPS[0], IMPLYING):
        place.add(step)
    first = place.stack()
    place.add(STEPS[4])
    second = place.stack()

    assert (merged_count(first), merged_count(second)) == (3, 3)
    place.assert_shows_the_same(second, place.merge())


def test_steps_share_one_index(place: Place) -> None:
    place.add(BASE, is_ours=False)
    place.add(STEPS[0], is_ours=False)
    place.stack()
    place.add(STEPS[2])
    first = place.stack()
    place.add(STEPS[4])
    second = place.stack()

    files = [os.stat(stack.lowers[-1].index) for stack in (first, second)]  # type: ignore[union-attr]  # images

    assert files[0].st_ino == files[1].st_ino
    assert files[0].st_nlink == 3


def test_a_parent_that_was_collected_meanwhile_is_done_without(place: Place) -> None:
    place.add(BASE, is_ours=False)
    place.add(STEPS[0], is_ours=False)
    place.add(STEPS[2])
    place.assembled = "/nonexistent"

    place.assert_shows_the_same(place.stack(), place.merge())


def test_many_steps_are_merged_now_and_then(place: Place) -> None:
    place.add(BASE, is_ours=False)
    counts = []

    for number in range(MAX_STACKED + 3):
        place.add((file(f"f{number}", b"x"),))
        counts.append(merged_count(place.stack()))

    assert counts == [1] * MAX_STACKED + [MAX_STACKED + 2] * 3
