import io
import os
from pathlib import Path

import pytest

import lstore
from fixtures.images.entries import file
from fixtures.images.layout import ImageBuilder, layer
from layerstore.errors import StoreDamaged
from lstore.engine.engine import Engine
from lstore.engine.load import load
from lstore.engine.save import save

TREE = layer([file("hello", b"world" * 1000)])


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    """Over a store with the one image ``hello:1``, whose layer is unpacked."""
    builder = ImageBuilder()
    builder.add_image([TREE], tag="hello:1")
    builder.write(tmp_path / "layout")
    engine = lstore.open(str(tmp_path / "store"), driver="erofs")
    list(load(engine, str(tmp_path / "layout")))
    return engine


def test_a_kept_tar_goes_into_the_archive_as_it_is(engine: Engine) -> None:
    output = io.BytesIO()

    save(engine, ["hello:1"], output)

    tar = Path(engine.store.layers.path(TREE.diff_id), "tar").read_bytes()
    assert tar in output.getvalue()


def test_a_kept_tar_of_another_size_is_not_saved(engine: Engine) -> None:
    tar = os.path.join(engine.store.layers.path(TREE.diff_id), "tar")
    os.truncate(tar, os.stat(tar).st_size - 512)

    with pytest.raises(StoreDamaged):
        save(engine, ["hello:1"], io.BytesIO())
