"""docs/security.md, "Applying and loading archives": layers that reach outside or break readers, through every door.

Each attack is refused by one typed error, always the same, or applied without harm: which of them, is written
here. Whatever happened, what lies outside is untouched, and the store keeps its promises.
"""

import functools
import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from fixtures.images.hostile import PLANTED, escaping_stacks, smuggling_stacks, whiteout_stacks
from fixtures.images.hostile_tars import hostile_tars
from fixtures.images.layout import Layer, layer, layer_of_tar
from layerstore.disk.trees import Meter
from tests.hostile.conftest import APPLIED, World
from tests.hostile.doors import DOORS

pytestmark = [pytest.mark.root, pytest.mark.slow]

REFUSED_STACKS = {
    "climbing name": "InvalidLayer",
    "climbing name behind a directory": "InvalidLayer",
    "hardlink to an absolute target, then written": "InvalidLayer",
    "hardlink to an climbing target, then written": "InvalidLayer",
    "hardlink to an symlinked target, then written": "InvalidLayer",
    "climbing whiteout": "InvalidLayer",
    "the root as a symlink named .": "InvalidLayer",
    "the root as a symlink named ./": "InvalidLayer",
    "the root as a symlink named /": "InvalidLayer",
    "the root as a symlink named a/..": "InvalidLayer",
    "the root as a symlink named ./.": "InvalidLayer",
    "whiteout named .wh.": "InvalidLayer",
    "whiteout named .wh..": "InvalidLayer",
    "whiteout named .wh...": "InvalidLayer",
    "whiteout named etc/.wh.": "InvalidLayer",
    "whiteout named etc/.wh..": "InvalidLayer",
    "whiteout named etc/.wh...": "InvalidLayer",
}
"""All other stacks are applied."""

LIMITED_TARS = {
    "PAX header of 8 GiB",
    "long name of 8 GiB",
    "negative long name",
    "hole of 2^62 bytes",
    "sparse map of 10^12 regions",
    "old sparse file of negative size",
    "a path longer than PATH_MAX",
    "a PAX path of a megabyte",
    "a component longer than NAME_MAX",
    "deeper than PATH_MAX, by symlinks",
    "an attribute of a megabyte",
}
IS_THOROUGH = "LSTORE_TEST_THOROUGH" in os.environ
"""Every tar through every door, else through one of them with each driver: stacks go through all, always."""
APPLIED_TARS = {
    "PAX size that hides an entry",
    "absolute PAX path",
    "PAX header before a PAX header",
    "PAX path behind a PAX symlink",
    "hole of 1 TiB",
    "two thousand directories deep",
    "a name that is no UTF-8",
    "a name of terminal escapes",
    "a name as everything in turn",
    "a hundred thousand opaque markers",
    "an attribute in no namespace",
    "an attribute of base64 that is none",
}
UNSUPPORTED_TARS = {"an unknown type", "a volume of several", "an ACL for a user by name"}
BY_DRIVER = {
    "an attribute of 64 KiB": {"erofs": APPLIED, "directory": "UnsupportedContent"},
    "five thousand attributes": {"erofs": APPLIED, "directory": "UnsupportedContent"},
    "a capability that is none": {"erofs": APPLIED, "directory": "InvalidLayer"},
}
"""What an index holds, and the file system under the store does not: ext4 gives attributes one block."""


def stacks(canary: Path) -> Mapping[str, Sequence[Layer]]:
    found = {**escaping_stacks(str(canary)), **whiteout_stacks(), **smuggling_stacks()}
    return {name: [layer(entries) for entries in stack] for name, stack in found.items()}


@functools.cache
def tars(canary: str) -> Mapping[str, bytes]:
    return hostile_tars(canary)


def expected_of_tar(name: str, driver: str) -> str:
    if name in BY_DRIVER:
        return BY_DRIVER[name][driver]
    if name in APPLIED_TARS:
        return APPLIED
    if name in UNSUPPORTED_TARS:
        return "UnsupportedContent"
    return "LimitExceeded" if name in LIMITED_TARS else "InvalidLayer"


def assert_harmless(root: Path) -> None:
    """Nothing in the mounted tree means anything to overlayfs, is another file's, or is what was to be planted."""
    for directory, names, files in os.walk(os.fsencode(root)):
        for name in (*names, *files):
            path = os.path.join(directory, name)
            status = os.lstat(path)
            assert b".wh." not in name, path
            assert not stat.S_ISCHR(status.st_mode) or status.st_rdev, path
            assert status.st_dev == os.stat(root).st_dev, path
            marks = [each for each in os.listxattr(path, follow_symlinks=False) if ".overlay." in each]
            assert marks == [], path


def test_stacks_end_as_they_should_and_reach_nothing_outside(world: World, canary: Path) -> None:
    ends = {}
    for name, layers in stacks(canary).items():
        if world.door != "import" or len(layers) == 1:
            ends[name] = world.outcome(layers, assert_harmless)

    assert ends == {name: REFUSED_STACKS.get(name, APPLIED) for name in ends}
    assert not (canary / PLANTED).exists()
    world.assert_consistent()


def test_tars_end_as_they_should_and_reach_nothing_outside(world: World, canary: Path) -> None:
    ends = {
        name: world.outcome([layer_of_tar(tar)], None if "deep" in name else assert_harmless)
        for number, (name, tar) in enumerate(tars(str(canary)).items())
        if IS_THOROUGH or number % len(DOORS) == world.turn
    }

    driver = world.engine.driver or ""
    assert ends == {name: expected_of_tar(name, driver) for name in ends}
    assert not (canary / PLANTED).exists()
    assert Meter().measure(world.engine.root).size < 256 << 20
    world.assert_consistent()
