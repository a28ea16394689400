"""Stores with busybox in them, to build in."""

from pathlib import Path

import pytest

from fixtures.builds import Builder


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory, busybox_layout: Path) -> Builder:
    """A store with busybox in it."""
    made = Builder(tmp_path_factory.mktemp("builds"))
    loaded = made.call("load", "-q", "-i", str(busybox_layout))
    assert loaded.returncode == 0, loaded.stderr
    return made


@pytest.fixture
def lonely_builder(tmp_path: Path, busybox_layout: Path) -> Builder:
    """The same for one test alone."""
    made = Builder(tmp_path)
    made.call("load", "-q", "-i", str(busybox_layout)).check_returncode()
    return made
