"""A store with one image of two layers, by either driver, and a place to mount it."""

from pathlib import Path

import pytest

import lstore
from fixtures.images.entries import Entry, character_device, directory, file, whiteout
from fixtures.images.layout import ImageBuilder, layer
from lstore.engine.engine import Engine
from lstore.engine.load import load

NAME = "docker.io/library/looked:1"
LOWER = [directory("etc"), file("etc/name", b"lower"), file("etc/gone"), file("su", b"x", mode=0o4755)]
UPPER = [whiteout("etc/gone"), file("etc/name", b"upper"), file("of-1000", uid=1000, gid=1000)]
DEVICE: list[Entry] = [character_device("null", 1, 3, mode=0o666)]


def write_layout(path: Path, *layers: list[Entry], name: str = NAME) -> Path:
    builder = ImageBuilder()
    builder.add_image([layer(entries) for entries in layers], tag=name)
    return builder.write(path)


@pytest.fixture(params=["erofs", "directory"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    """The engine over a store that holds the image ``looked:1``."""
    opened = lstore.open(str(tmp_path / "store"), driver=request.param)
    list(load(opened, str(write_layout(tmp_path / "layout", LOWER, [*UPPER, *DEVICE]))))
    return opened


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """An empty directory."""
    path = tmp_path / "target with a space"
    path.mkdir()
    return path
