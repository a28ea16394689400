"""Push, save and load say what they do; a pull of an index that lacks a platform says so."""

import io
from pathlib import Path

import pytest

import lstore
from fixtures.images.entries import file
from fixtures.images.layout import ARM64, ImageBuilder, layer
from fixtures.images.publish import publish
from fixtures.registry import Registry
from layerstore.errors import InvalidArchive, NoMatchingPlatform
from layerstore.oci.digest import Digest
from layerstore.oci.platform import Platform
from layerstore.oci.reference import Reference
from layerstore.progress import Phase
from lstore.engine.engine import Engine
from lstore.engine.load import load
from lstore.engine.pull import pull
from lstore.engine.push import push
from lstore.engine.save import Format, save


class Recorder:
    """A `Progress` that remembers."""

    def __init__(self) -> None:
        self.phases: list[tuple[str, Phase]] = []
        self.notes: list[str] = []
        self.bytes = 0

    def phase(self, key: str, phase: Phase, total: int | None = None) -> None:
        self.phases.append((key, phase))

    def advance(self, key: str, amount: int) -> None:
        self.bytes += amount

    def note(self, message: str) -> None:
        self.notes.append(message)

    def of(self, key: str) -> list[Phase]:
        return [phase for each, phase in self.phases if each == key]


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return lstore.open(str(tmp_path / "store"), driver="directory")


HELLO = layer([file("hello", b"world" * 1000)])
BLOB = Digest.of(HELLO.blob)


def loaded(engine: Engine, path: Path, *, name: str) -> None:
    builder = ImageBuilder()
    builder.add_image([HELLO], tag=name)
    list(load(engine, str(builder.write(path))))


def test_a_push_tells_of_each_blob_that_it_sends(engine: Engine, tmp_path: Path, registry: Registry) -> None:
    name = f"{registry.address}/hello:1"
    loaded(engine, tmp_path / "layout", name=name)
    first, second = Recorder(), Recorder()

    push(engine, Reference.parse(name), progress=first)
    push(engine, Reference.parse(name), progress=second)

    assert first.of(BLOB.short) == ["uploading", "done"]
    assert first.bytes > len(HELLO.blob)
    assert "uploading" not in second.of(BLOB.short)


@pytest.mark.parametrize(
    ("archive", "key"),
    [("oci-archive", BLOB.short), ("docker-archive", HELLO.diff_id.short)],
)
def test_a_save_tells_of_each_layer_that_it_writes(
    engine: Engine, tmp_path: Path, archive: Format, key: str
) -> None:
    loaded(engine, tmp_path / "layout", name="hello:1")
    progress = Recorder()

    save(engine, ["hello:1"], io.BytesIO(), archive=archive, progress=progress)

    assert progress.of(key) == ["writing", "done"]


def test_an_artifact_beside_an_image_is_passed_over(engine: Engine, tmp_path: Path) -> None:
    builder = ImageBuilder()
    image = builder.add_image([HELLO], tag="hello:1")
    builder.add_artifact("application/vnd.example", b"signature", subject=image, tag="signature:1")
    progress = Recorder()

    results = list(load(engine, str(builder.write(tmp_path / "layout")), progress=progress))

    assert [str(name) for each in results for name in each.names] == ["docker.io/library/hello:1"]
    assert len(progress.notes) == 1


def test_an_archive_without_images_is_no_success(engine: Engine, tmp_path: Path) -> None:
    layout = ImageBuilder().write(tmp_path / "layout")

    with pytest.raises(InvalidArchive):
        list(load(engine, str(layout)))


def test_an_index_that_is_here_whole_does_not_stand_for_a_platform_it_lacks(
    engine: Engine, tmp_path: Path, registry: Registry
) -> None:
    builder = ImageBuilder()
    builder.add_index([builder.add_image([HELLO]), builder.add_image([HELLO], platform=ARM64)], tag="1")
    registry_name = f"{registry.address}/hello:1"
    publish(builder.write(tmp_path / "layout"), registry.storage, "hello")
    pull(engine, Reference.parse(registry_name), all_platforms=True)

    with pytest.raises(NoMatchingPlatform):
        pull(engine, Reference.parse(registry_name), platform=Platform.parse("linux/s390x"))
