"""OCI layouts in one tar: byte for byte, by their names, and blobs that are plain files."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from fixtures.images.entries import (
    Entry,
    character_device,
    directory,
    fifo,
    file,
    hardlink,
    make_tar,
    symlink,
)
from fixtures.images.layout import AMD64, ARM64, ImageBuilder, layer
from fixtures.memory import MemoryTarget
from layerstore.archive.oci_layout import blob_name
from layerstore.archive.tar_archive import ImageArchive
from layerstore.content import read_document
from layerstore.copy import copy
from layerstore.errors import ContentMismatch, InvalidArchive, LimitExceeded, NotFound, UnsupportedContent

Opened = Callable[[bytes | Path], ImageArchive]


@pytest.fixture
def builder() -> ImageBuilder:
    """Two images that share a layer, and an index of them."""
    builder = ImageBuilder()
    base = layer([file("base", b"1")])
    amd64 = builder.add_image([base, layer([file("a", b"2")], "zstd")], tag="v1")
    arm64 = builder.add_image([base], tag="docker.io/library/b:2", platform=ARM64)
    builder.add_index([amd64, arm64], tag="both")
    return builder


def members_of(builder: ImageBuilder, tmp_path: Path) -> dict[str, Entry]:
    layout = builder.write(tmp_path / "layout")
    paths = sorted(path for path in layout.rglob("*") if path.is_file())
    return {
        str(path.relative_to(layout)): file(str(path.relative_to(layout)), path.read_bytes())
        for path in paths
    }


def packed(members: Mapping[str, Entry]) -> bytes:
    return make_tar([directory("blobs"), directory("blobs/sha256"), *members.values()])


def test_a_whole_index_comes_back_byte_by_byte(builder: ImageBuilder, opened: Opened, tmp_path: Path) -> None:
    archive = opened(packed(members_of(builder, tmp_path)))
    target = MemoryTarget()

    copy(archive, target, archive.resolve("both"))

    assert target.blobs == builder.blobs


def test_every_image_has_its_names(builder: ImageBuilder, opened: Opened, tmp_path: Path) -> None:
    builder.tag(builder.roots[0], "v2")

    archive = opened(packed(members_of(builder, tmp_path)))

    assert [image.names for image in archive.images()] == [
        ("v1", "v2"),
        ("docker.io/library/b:2",),
        ("both",),
    ]
    assert [image.root for image in archive.images()] == builder.roots[:3]
    assert archive.images()[0].root.platform == AMD64
    assert archive.resolve(str(builder.roots[1].digest)) == builder.roots[1]
    with pytest.raises(NotFound):
        archive.resolve("v3")


def test_a_directory_with_a_layout_is_opened_alike(
    builder: ImageBuilder, opened: Opened, tmp_path: Path
) -> None:
    from_tar = opened(packed(members_of(builder, tmp_path)))

    from_directory = opened(tmp_path / "layout")

    assert from_directory.images() == from_tar.images()


def test_a_blob_is_read_from_an_offset(builder: ImageBuilder, opened: Opened, tmp_path: Path) -> None:
    archive = opened(packed(members_of(builder, tmp_path)))
    root = archive.resolve("v1")
    whole = read_document(archive, root)

    with archive.fetch(root, 10) as stream:
        assert stream.read(7) + stream.read(1 << 20) == whole[10:]
        assert stream.read(1) == b""
    with archive.fetch(root, len(whole) + 1000) as stream:
        assert stream.read(10) == b""


def test_a_blob_with_other_bytes_never_verifies(
    builder: ImageBuilder, opened: Opened, tmp_path: Path
) -> None:
    members = members_of(builder, tmp_path)
    name = blob_name(builder.roots[0].digest)
    members[name] = file(name, members[name].data.replace(b"v1", b"v2"))

    archive = opened(packed(members))

    with pytest.raises(ContentMismatch):
        read_document(archive, archive.resolve("v1"))


def test_a_missing_blob_is_not_found_only_when_it_is_wanted(
    builder: ImageBuilder, opened: Opened, tmp_path: Path
) -> None:
    members = members_of(builder, tmp_path)
    del members[blob_name(builder.roots[1].digest)]

    archive = opened(packed(members))

    copy(archive, MemoryTarget(), archive.resolve("v1"))
    with pytest.raises(NotFound, match="no blob"):
        copy(archive, MemoryTarget(), archive.resolve("both"))


@pytest.mark.parametrize(
    "make",
    [
        lambda name: symlink(name, "/etc/passwd"),
        lambda name: symlink(name, "elsewhere"),
        lambda name: hardlink(name, "elsewhere"),
        fifo,
        lambda name: character_device(name, 1, 5),
        directory,
    ],
    ids=["absolute symlink", "symlink", "hardlink", "fifo", "device", "directory"],
)
@pytest.mark.parametrize("member", ["oci-layout", "index.json", "blob"])
def test_a_member_that_is_no_plain_file_is_refused_by_name(
    builder: ImageBuilder, opened: Opened, tmp_path: Path, make: Callable[[str], Entry], member: str
) -> None:
    members = members_of(builder, tmp_path)
    name = blob_name(builder.roots[0].digest) if member == "blob" else member
    members["elsewhere"] = file("elsewhere", members[name].data)
    members[name] = make(name)

    with pytest.raises((InvalidArchive, NotFound), match=name[-20:]):
        read_document(archive := opened(packed(members)), archive.resolve("v1"))


@pytest.mark.parametrize("name", ["oci-layout", "index.json"])
def test_a_document_that_is_there_twice_is_refused(
    builder: ImageBuilder, opened: Opened, tmp_path: Path, name: str
) -> None:
    members = members_of(builder, tmp_path)

    with pytest.raises(InvalidArchive, match="twice"):
        opened(packed({**members, "again": file(f"./{name}", members[name].data)}))


@pytest.mark.parametrize("name", ["oci-layout", "index.json"])
def test_a_missing_document_is_named(
    builder: ImageBuilder, opened: Opened, tmp_path: Path, name: str
) -> None:
    members = members_of(builder, tmp_path)
    del members[name]

    with pytest.raises(InvalidArchive, match=name):
        opened(packed(members))


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (b"", InvalidArchive),
        (b"[]", InvalidArchive),
        (b'{"schemaVersion":2,"manifests":[{}]}', InvalidArchive),
        (b'{"schemaVersion":2,"manifests":[],"manifests":[]}', InvalidArchive),
        (b'{"schemaVersion":2,"manifests":' + b"[" * 100_000, InvalidArchive),
        (b'{"schemaVersion":2,"manifests":[' + b"0," * 999_999 + b"0]}", LimitExceeded),
    ],
    ids=["empty", "array", "no descriptor", "duplicate key", "depth bomb", "a million"],
)
def test_a_malformed_index_ends_in_one_clear_error(
    builder: ImageBuilder, opened: Opened, tmp_path: Path, raw: bytes, error: type[Exception]
) -> None:
    members = members_of(builder, tmp_path)
    members["index.json"] = file("index.json", raw)

    with pytest.raises(error):
        opened(packed(members))


def test_another_version_is_unsupported(builder: ImageBuilder, opened: Opened, tmp_path: Path) -> None:
    members = members_of(builder, tmp_path)
    members["oci-layout"] = file("oci-layout", b'{"imageLayoutVersion":"2.0.0"}')

    with pytest.raises(UnsupportedContent, match=r"2\.0\.0"):
        opened(packed(members))


@pytest.mark.parametrize("digest", ["sha256:" + "0" * 63, "sha256:../../../../etc/passwd", "md5:" + "0" * 32])
def test_a_root_with_a_malformed_digest_is_refused(
    builder: ImageBuilder, opened: Opened, tmp_path: Path, digest: str
) -> None:
    members = members_of(builder, tmp_path)
    index = json.loads(members["index.json"].data)
    index["manifests"][0]["digest"] = digest
    members["index.json"] = file("index.json", json.dumps(index).encode())

    with pytest.raises(InvalidArchive, match="digest"):
        opened(packed(members))
