"""Images that are ready: remembered for the next start, and never believed beyond what changed."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

import lstore
from fixtures.images.entries import file
from fixtures.images.layout import ImageBuilder, layer
from layerstore.disk.removal import remove_tree
from lstore.engine.containers import ready
from lstore.engine.containers.create import create
from lstore.engine.containers.request import ContainerRequest
from lstore.engine.engine import Engine
from lstore.engine.load import load
from lstore.engine.tag import tag_image

Opened = Callable[[], Engine]
REQUEST = ContainerRequest(image="mine", command=("/true",))


@pytest.fixture
def opened(tmp_path: Path) -> Opened:
    """A new engine, as each command has one, over one store with an image called mine."""
    builder = ImageBuilder()
    builder.add_image([layer([file("hello", b"world")])], tag="mine")
    path = str(builder.write(tmp_path / "layout"))

    def engine() -> Engine:
        return lstore.open(str(tmp_path / "store"), driver="directory")

    assert len(list(load(engine(), path))) == 1
    return engine


def recalled(engine: Engine) -> ready.Ready | None:
    return ready.recall(engine, ready.words(engine, REQUEST))


def test_what_was_run_once_is_ready_and_makes_the_same_container(opened: Opened) -> None:
    first = create(opened(), REQUEST)

    engine = opened()
    found = recalled(engine)
    second = create(engine, REQUEST)

    assert found is not None
    assert "snapshotter" not in vars(engine), "the second start looked nothing up"
    names = ("image", "image_id", "diff_ids", "entrypoint", "command", "labels", "health")
    assert [getattr(second, name) for name in names] == [getattr(first, name) for name in names]
    assert opened().snapshotter.mounts(second.id).lowers == opened().snapshotter.mounts(first.id).lowers


def test_it_is_not_believed_once_the_refs_change(opened: Opened) -> None:
    create(opened(), REQUEST)

    tag_image(opened().store, "mine", "other")

    assert recalled(opened()) is None


def test_it_is_not_believed_once_the_snapshot_is_gone(opened: Opened) -> None:
    create(opened(), REQUEST)
    found = recalled(opened())
    assert found is not None

    remove_tree(found.needed[0])

    assert recalled(opened()) is None
    assert create(opened(), REQUEST).image_id == found.facts.image_id


def test_it_is_not_believed_in_another_boot(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    create(opened(), REQUEST)

    monkeypatch.setattr(ready, "boot_id", lambda: "another")

    assert recalled(opened()) is None


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"class":"_Kept"}', b'{"class":"Ready"}', b"\0" * 64]
)
def test_a_damaged_file_is_written_anew(opened: Opened, content: bytes) -> None:
    create(opened(), REQUEST)
    path = os.path.join(opened().layout.containers, ready.NAME)
    Path(path).write_bytes(content)

    assert recalled(opened()) is None
    create(opened(), REQUEST)

    assert recalled(opened()) is not None
