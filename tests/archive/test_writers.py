"""Archives that lstore writes: sound, deterministic, each layer once, and none at all when cut short."""

import io
import json
import tarfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures import schemas
from fixtures.images.entries import file
from fixtures.images.layout import AMD64, ARM64, ImageBuilder, Layer, configuration_of, layer
from fixtures.memory import MemoryTarget, MemoryTars
from layerstore.archive.docker_archive_writer import DockerArchiveWriter
from layerstore.archive.oci_archive_writer import OciArchiveWriter
from layerstore.archive.oci_layout import blob_name
from layerstore.archive.open import open_archive
from layerstore.archive.tar_archive import ImageArchive
from layerstore.archive.tar_writer import TarWriter
from layerstore.content import opened_bytes, read_document, read_manifest
from layerstore.copy import copy
from layerstore.errors import Conflict, ContentMismatch, InvalidArchive, NotFound, StorageError
from layerstore.oci import mediatype
from layerstore.oci.config import ImageConfig
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.document import dump
from layerstore.oci.manifest import Manifest
from layerstore.oci.reference import Reference

Opened = Callable[[bytes], ImageArchive]

BASE = layer([file("base", b"1" * 700)], "none")
TOP = layer([file("top", b"2")], "none")


def config_of(*layers: Layer) -> ImageConfig:
    return ImageConfig.parse(dump(configuration_of(layers, {"Cmd": ["sh"]}, AMD64)))


def tars_of(*layers: Layer) -> MemoryTars:
    return MemoryTars({each.diff_id: each.blob for each in layers})


def names(*texts: str) -> list[Reference]:
    return [Reference.parse(text) for text in texts]


def write_docker(images: Sequence[tuple[ImageConfig, Sequence[Reference]]], tars: MemoryTars) -> bytes:
    output = io.BytesIO()
    writer = DockerArchiveWriter(output, tars)
    for config, references in images:
        writer.add(config, references)
    writer.finish()
    return output.getvalue()


def contents(tar: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        found = {}
        for info in archive:
            member = archive.extractfile(info)
            assert member is not None
            assert info.name not in found
            found[info.name] = member.read()
    return found


def write_oci(builder: ImageBuilder, named: dict[str, Descriptor]) -> bytes:
    source = MemoryTarget()
    source.blobs = dict(builder.blobs)
    output = io.BytesIO()
    writer = OciArchiveWriter(output)
    for name, root in named.items():
        copy(source, writer, root, parallel=1)
        writer.tag(root, name)
    writer.finish()
    return output.getvalue()


def two_platforms() -> tuple[ImageBuilder, dict[str, Descriptor]]:
    builder = ImageBuilder()
    images = [builder.add_image([layer([file("a", b"x")])], platform=each) for each in (AMD64, ARM64)]
    return builder, {"docker.io/library/both:1": builder.add_index(images), "one": images[0]}


def test_an_oci_archive_comes_back_byte_by_byte(opened: Opened) -> None:
    builder, named = two_platforms()

    archive = opened(write_oci(builder, named))

    back = MemoryTarget()
    copy(archive, back, archive.resolve("docker.io/library/both:1"))
    assert back.blobs == builder.blobs
    assert [image.names for image in archive.images()] == [("docker.io/library/both:1",), ("one",)]
    assert archive.resolve("one").platform == AMD64


def test_an_oci_archive_has_each_blob_once_and_its_index_last() -> None:
    builder, named = two_platforms()

    found = list(contents(write_oci(builder, named)))

    assert sorted(found[:-2]) == sorted(blob_name(digest) for digest in builder.blobs)
    assert found[-2:] == ["index.json", "oci-layout"]


def test_an_image_without_a_name_is_listed(opened: Opened) -> None:
    builder, named = two_platforms()
    source, output = MemoryTarget(), io.BytesIO()
    source.blobs = dict(builder.blobs)
    writer = OciArchiveWriter(output)

    copy(source, writer, named["one"])
    writer.add_root(named["one"])
    writer.add_root(named["one"])
    writer.finish()

    (image,) = opened(output.getvalue()).images()
    assert (image.names, image.root) == ((), named["one"])


@pytest.mark.package(schemas.PACKAGE)
def test_every_document_of_an_oci_archive_validates(tmp_path: Path) -> None:
    builder, named = two_platforms()

    write_files(tmp_path, contents(write_oci(builder, named)))

    schemas.validate_layout(tmp_path)


@pytest.mark.package(schemas.PACKAGE)
def test_every_document_of_a_docker_archive_validates(tmp_path: Path) -> None:
    tar = write_docker(
        [(config_of(BASE, TOP), names("a:1", "a:2")), (config_of(BASE), ())], tars_of(BASE, TOP)
    )

    write_files(tmp_path, contents(tar))

    schemas.validate_layout(tmp_path)


def write_files(folder: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def test_equal_images_make_equal_archives() -> None:
    builder, named = two_platforms()
    images = [(config_of(BASE, TOP), names("a:1"))]

    assert write_oci(builder, named) == write_oci(builder, named)
    assert write_docker(images, tars_of(BASE, TOP)) == write_docker(images, tars_of(TOP, BASE))


def test_members_carry_no_trace_of_the_machine() -> None:
    tar = write_docker([(config_of(BASE), names("a:1"))], tars_of(BASE))

    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        for info in archive:
            assert (info.mtime, info.uid, info.gid, info.uname, info.gname) == (0, 0, 0, "", "")
            assert (info.isreg(), info.mode) == (True, 0o644)


def test_a_docker_archive_keeps_image_ids_names_and_layers(opened: Opened) -> None:
    config = config_of(BASE, TOP)

    archive = opened(write_docker([(config, names("a:1", "localhost:5000/b:2"))], tars_of(BASE, TOP)))

    (image,) = archive.images()
    manifest = read_manifest(archive, image.root)
    assert isinstance(manifest, Manifest)
    assert image.names == ("docker.io/library/a:1", "localhost:5000/b:2")
    assert read_document(archive, manifest.config) == config.raw
    assert [each.digest for each in manifest.layers] == [BASE.diff_id, TOP.diff_id]
    assert image.root.platform == AMD64


def test_old_readers_find_what_they_look_for() -> None:
    config = config_of(BASE, TOP)

    found = contents(write_docker([(config, names("a:1", "b:2")), (config_of(BASE), ())], tars_of(BASE, TOP)))

    first, second = json.loads(found["manifest.json"])
    assert first["RepoTags"] == ["docker.io/library/a:1", "docker.io/library/b:2"]
    assert found[first["Config"]] == config.raw
    assert [found[path] for path in first["Layers"]] == [BASE.blob, TOP.blob]
    assert second["RepoTags"] is None
    assert json.loads(found["repositories"]) == {
        "docker.io/library/a": {"1": TOP.diff_id.encoded},
        "docker.io/library/b": {"2": TOP.diff_id.encoded},
    }


def test_a_layer_that_images_share_is_written_once() -> None:
    tars = tars_of(BASE, TOP)
    images = [(config_of(BASE, TOP, BASE), names("a:1")), (config_of(BASE), names("b:1"))]

    found = contents(write_docker(images, tars))

    assert tars.opened == [BASE.diff_id, TOP.diff_id]
    assert len(json.loads(found["manifest.json"])[0]["Layers"]) == 3


def test_an_image_that_is_added_again_gains_names(opened: Opened) -> None:
    config = config_of(BASE)

    tar = write_docker([(config, names("a:1")), (config, ()), (config, names("b:1", "a:1"))], tars_of(BASE))

    (saved,) = json.loads(contents(tar)["manifest.json"])
    (image,) = opened(tar).images()
    assert saved["RepoTags"] == ["docker.io/library/a:1", "docker.io/library/b:1"]
    assert sorted(image.names) == ["docker.io/library/a:1", "docker.io/library/b:1"]


def test_a_name_without_a_tag_is_no_name_to_docker() -> None:
    pinned = Reference.parse(f"a@{BASE.diff_id}")

    found = contents(write_docker([(config_of(BASE), [pinned])], tars_of(BASE)))

    assert json.loads(found["manifest.json"])[0]["RepoTags"] is None
    assert json.loads(found["repositories"]) == {}


def test_an_image_without_layers_is_written(opened: Opened) -> None:
    archive = opened(write_docker([(config_of(), names("a:1"))], tars_of()))

    assert archive.images()[0].names == ("docker.io/library/a:1",)


@pytest.mark.parametrize("data", [b"other", BASE.blob[:-1], BASE.blob + b"x", b"x" * len(BASE.blob)])
def test_a_damaged_layer_spoils_the_archive_for_good(opened: Opened, data: bytes) -> None:
    tars, output = tars_of(BASE), io.BytesIO()
    tars.tars[BASE.diff_id] = data
    writer = DockerArchiveWriter(output, tars)

    with pytest.raises(ContentMismatch):
        writer.add(config_of(BASE), names("a:1"))

    with pytest.raises(Conflict):
        writer.add(config_of(BASE), names("a:1"))
    with pytest.raises(Conflict):
        writer.finish()
    with pytest.raises(InvalidArchive):
        opened(output.getvalue())


def test_what_was_verified_before_is_not_digested_once_more() -> None:
    output = io.BytesIO()
    tars = MemoryTars({BASE.diff_id: b"x" * len(BASE.blob)}, is_verified=True)
    writer = DockerArchiveWriter(output, tars)

    writer.add(config_of(BASE), names("a:1"))
    writer.finish()

    assert b"x" * len(BASE.blob) in output.getvalue()


def test_a_blob_that_breaks_off_spoils_an_oci_archive_for_good(opened: Opened) -> None:
    output = io.BytesIO()
    writer = OciArchiveWriter(output)
    blob = Descriptor.of(mediatype.OCI_LAYER, b"data" * 1000)

    with pytest.raises(ContentMismatch):
        writer.push(blob, partial(opened_bytes, b"data"))

    assert not writer.has(blob)
    with pytest.raises(Conflict):
        writer.push(blob, partial(opened_bytes, b"data" * 1000))
    with pytest.raises(Conflict):
        writer.finish()
    with pytest.raises(InvalidArchive):
        opened(output.getvalue())


def test_an_opener_that_fails_before_the_first_byte_spoils_nothing(opened: Opened) -> None:
    output = io.BytesIO()
    writer = OciArchiveWriter(output)
    blob = Descriptor.of(mediatype.OCI_LAYER, b"data")

    with pytest.raises(NotFound):
        writer.push(blob, partial(MemoryTarget().fetch, blob))
    writer.push(blob, partial(opened_bytes, b"data"))
    writer.finish()

    assert opened(output.getvalue()).images() == ()


def test_an_archive_being_written_cannot_be_read_back() -> None:
    writer = OciArchiveWriter(io.BytesIO())
    blob = Descriptor.of(mediatype.OCI_LAYER, b"data")
    writer.push(blob, partial(opened_bytes, b"data"))
    writer.tag(blob, "x")

    assert writer.resolve("x") == blob
    with pytest.raises(NotFound):
        writer.fetch(blob)


def test_nothing_is_added_to_a_finished_archive() -> None:
    output = io.BytesIO()
    writer = OciArchiveWriter(output)
    writer.finish()
    length = len(output.getvalue())

    with pytest.raises(Conflict):
        writer.push(Descriptor.of(mediatype.OCI_LAYER, b"data"), partial(opened_bytes, b"data"))

    assert len(output.getvalue()) == length


def test_an_output_that_is_full_is_a_storage_error() -> None:
    with (
        open("/dev/full", "wb", buffering=0) as full,
        pytest.raises(StorageError, match="cannot write the archive"),
    ):
        OciArchiveWriter(full).finish()


def test_an_output_that_takes_little_at_a_time_gets_everything() -> None:
    class Slow(io.BytesIO):
        def write(self, data: bytes, /) -> int:  # type: ignore[override]  # narrower: only what lstore gives
            return super().write(bytes(data[:100]))

    slow = Slow()
    writer = DockerArchiveWriter(slow, tars_of(BASE))
    writer.add(config_of(BASE), names("a:1"))
    writer.finish()

    assert slow.getvalue() == write_docker([(config_of(BASE), names("a:1"))], tars_of(BASE))


@pytest.mark.parametrize("name", ["short", "blobs/sha512/" + "a" * 128, "ü"])
@pytest.mark.parametrize("size", [0, 1, 511, 512, 513])
def test_any_name_and_size_reads_back(name: str, size: int) -> None:
    output = io.BytesIO()
    writer = TarWriter(output)

    writer.add_bytes(name, b"x" * size)
    writer.add_bytes("next", b"y")
    writer.finish()

    assert contents(output.getvalue()) == {name: b"x" * size, "next": b"y"}
    assert len(output.getvalue()) % 10_240 == 0


tars = st.binary(max_size=1500).map(lambda data: layer([file("f", data)], "none"))
images = st.lists(st.lists(tars, max_size=4), min_size=1, max_size=4)


@settings(max_examples=40, deadline=None)
@given(images)
def test_any_images_come_back_with_their_ids_and_each_layer_once(layers: list[list[Layer]]) -> None:
    configs = [config_of(*each) for each in layers]
    stacks = [(config, names(f"image:{number}")) for number, config in enumerate(configs)]
    written = write_docker(stacks, tars_of(*(each for stack in layers for each in stack)))

    with TemporaryFile() as stream:
        stream.write(written)
        stream.seek(0)
        with open_archive(stream, "unused") as archive:
            target = MemoryTarget()
            for image in archive.images():
                copy(archive, target, image.root)

    assert {config.image_id for config in configs} <= target.blobs.keys()
    assert {each.diff_id for stack in layers for each in stack} <= target.blobs.keys()
    assert len(contents(written)) == len(target.blobs) + 4


@pytest.mark.parametrize(
    ("written", "reason"), [(b"", "3 bytes shorter"), (b"12", "1 bytes shorter"), (b"1234", "longer")]
)
def test_a_member_has_exactly_the_announced_size(written: bytes, reason: str) -> None:
    writer = TarWriter(io.BytesIO())

    with pytest.raises(ContentMismatch, match=reason):
        writer.add_file("x", 3, lambda member: member.write(written))
