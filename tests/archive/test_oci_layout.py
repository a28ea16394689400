"""OCI layout directories: whole blobs only, names by annotation, and nothing but plain files."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from fixtures import schemas
from fixtures.images.entries import file
from fixtures.images.layout import AMD64, ARM64, ImageBuilder, layer
from fixtures.memory import MemoryTarget
from layerstore.archive.layout_index import ArchivedImage
from layerstore.archive.oci_layout import LayoutDirectory, blob_name
from layerstore.content import opened_bytes, read_document
from layerstore.copy import copy
from layerstore.errors import (
    Conflict,
    ContentMismatch,
    InvalidArchive,
    LimitExceeded,
    NotFound,
    StorageError,
    UnsupportedContent,
)
from layerstore.oci import mediatype
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.digest import Digest
from layerstore.tasks import run_all

FULL = "docker.io/library/debian:12"


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A layout with one image called v1, written by other code than ours."""
    builder = ImageBuilder()
    builder.add_image([layer([file("a", b"1")]), layer([file("b", b"2")], "zstd")], tag="v1")
    return builder.write(tmp_path / "foreign")


def some_blob(data: bytes = b"data") -> Descriptor:
    return Descriptor.of(mediatype.OCI_LAYER, data)


def test_a_whole_index_comes_back_from_the_directory_byte_by_byte(tmp_path: Path) -> None:
    builder = ImageBuilder()
    images = [builder.add_image([layer([file("a", b"x")])], platform=each) for each in (AMD64, ARM64)]
    root = builder.add_index(images, tag="both")
    source = LayoutDirectory.open(str(builder.write(tmp_path / "from")))
    target = LayoutDirectory.create(str(tmp_path / "to"))

    copy(source, target, root)
    target.tag(root, "both")
    back = MemoryTarget()
    copy(target, back, target.resolve("both"))

    assert back.blobs == builder.blobs


@pytest.mark.package(schemas.PACKAGE)
def test_what_is_written_validates_against_the_specification(tmp_path: Path) -> None:
    layout = LayoutDirectory.create(str(tmp_path / "new"))
    schemas.validate("index", (tmp_path / "new/index.json").read_bytes())

    layout.tag(some_blob(), FULL)

    schemas.validate("index", (tmp_path / "new/index.json").read_bytes())
    schemas.validate("layout", (tmp_path / "new/oci-layout").read_bytes())


def test_creating_again_keeps_what_is_there(tmp_path: Path) -> None:
    path = str(tmp_path / "new")
    LayoutDirectory.create(path).tag(some_blob(), "kept")

    again = LayoutDirectory.create(path)

    assert again.resolve("kept") == some_blob()


def test_an_interrupted_creation_is_finished(tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    (tmp_path / ".tmp-index.json.0000").touch()

    layout = LayoutDirectory.create(str(tmp_path))

    assert layout.images() == ()


def test_a_directory_with_other_files_does_not_become_a_layout(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()

    with pytest.raises(Conflict, match="holds other files"):
        LayoutDirectory.create(str(tmp_path))

    assert os.listdir(tmp_path) == ["thesis.tex"]


def test_a_name_stands_for_the_last_thing_it_was_given(tmp_path: Path) -> None:
    layout = LayoutDirectory.create(str(tmp_path / "new"))
    old, new = some_blob(b"old"), some_blob(b"new")

    layout.tag(old, FULL)
    layout.tag(old, "other")
    layout.tag(new, FULL)

    assert layout.resolve(FULL) == new
    assert layout.resolve("other") == old
    assert layout.images() == (ArchivedImage(("other",), old), ArchivedImage((FULL,), new))
    with pytest.raises(NotFound, match="'gone'"):
        layout.resolve("gone")


def test_a_whole_reference_is_spelt_as_containerd_reads_it(tmp_path: Path) -> None:
    layout = LayoutDirectory.create(str(tmp_path / "new"))

    layout.tag(some_blob(b"1"), FULL)
    layout.tag(some_blob(b"2"), "v1")

    full, short = layout.index().entries
    assert full.annotations["io.containerd.image.name"] == FULL
    assert "io.containerd.image.name" not in short.annotations


def test_docker_s_annotations_give_the_whole_name(written: Path) -> None:
    index = json.loads((written / "index.json").read_bytes())
    index["manifests"][0]["annotations"] = {
        "io.containerd.image.name": FULL,
        "org.opencontainers.image.ref.name": "12",
    }
    (written / "index.json").write_text(json.dumps(index))
    layout = LayoutDirectory.open(str(written))

    assert [image.names for image in layout.images()] == [(FULL,)]
    assert layout.resolve(FULL) == layout.resolve("12")
    assert layout.resolve(FULL) == layout.resolve(str(layout.resolve(FULL).digest))


def test_unknown_fields_survive_a_new_name(written: Path) -> None:
    index = json.loads((written / "index.json").read_bytes())
    index["x-unknown"] = {"kept": 1}
    index["manifests"][0]["x-too"] = 2
    index["manifests"][0]["annotations"]["org.example"] = "kept"
    (written / "index.json").write_text(json.dumps(index))
    layout = LayoutDirectory.open(str(written))

    layout.tag(layout.resolve("v1"), "v2")

    after = json.loads((written / "index.json").read_bytes())
    assert after["x-unknown"] == {"kept": 1}
    assert [each["x-too"] for each in after["manifests"]] == [2, 2]
    assert [each["annotations"]["org.example"] for each in after["manifests"]] == ["kept", "kept"]


def test_an_image_without_a_name_is_listed(tmp_path: Path) -> None:
    builder = ImageBuilder()
    builder.tag(builder.add_image([layer([file("a")])]), None)

    (image,) = LayoutDirectory.open(str(builder.write(tmp_path / "foreign"))).images()

    assert image.names == ()


def test_a_blob_is_read_from_an_offset(written: Path) -> None:
    layout = LayoutDirectory.open(str(written))
    root = layout.resolve("v1")
    whole = read_document(layout, root)

    with layout.fetch(root, 10) as stream:
        assert stream.read(1 << 20) == whole[10:]


@pytest.mark.parametrize("data", [b"other bytes", b"dat", b"datum", b""])
def test_content_that_does_not_match_is_kept_nowhere(tmp_path: Path, data: bytes) -> None:
    layout = LayoutDirectory.create(str(tmp_path / "new"))

    with pytest.raises(ContentMismatch):
        layout.push(some_blob(), partial(opened_bytes, data))

    assert not layout.has(some_blob())
    assert sorted(os.listdir(tmp_path / "new")) == ["blobs", "index.json", "oci-layout"]


def test_content_of_either_algorithm_finds_its_place(tmp_path: Path) -> None:
    layout = LayoutDirectory.create(str(tmp_path / "new"))
    long = Descriptor(mediatype.OCI_LAYER, Digest.of(b"data", "sha512"), 4)

    layout.push(some_blob(), partial(opened_bytes, b"data"))
    layout.push(long, partial(opened_bytes, b"data"))
    layout.push(long, partial(opened_bytes, b"not looked at again"))

    assert layout.has(some_blob())
    assert (tmp_path / "new/blobs/sha512" / long.digest.encoded).read_bytes() == b"data"


def test_a_truncated_blob_does_not_count_as_there(written: Path) -> None:
    layout = LayoutDirectory.open(str(written))
    root = layout.resolve("v1")
    os.truncate(written / blob_name(root.digest), 5)

    assert not layout.has(root)
    with pytest.raises(ContentMismatch):
        read_document(layout, root)


CRASH = """
import sys
from layerstore.archive.oci_layout import LayoutDirectory
from layerstore.copy import copy
from layerstore.disk import faults

point, reach, source_path, target_path = sys.argv[1:]
if point:
    faults.arm(point, int(reach))
source, target = LayoutDirectory.open(source_path), LayoutDirectory.create(target_path)
copy(source, target, source.resolve("v1"), parallel=1)
target.tag(source.resolve("v1"), "v1")
"""
POINTS = [
    ("publish: temporary file durable", 2),  # index, layout file, index with the name
    ("publish: renamed, directory not synced", 2),
    ("publish: temporary file durable", 3),
    ("publish: renamed, directory not synced", 3),
    *(
        (f"layout: blob {state}", reach)
        for reach in (1, 2, 4)
        for state in ("durable, not visible", "visible, directory not synced")
    ),
]


@pytest.mark.parametrize(("point", "reach"), POINTS)
def test_after_a_crash_the_layout_is_sound_and_the_same_copy_succeeds(
    written: Path, tmp_path: Path, point: str, reach: int
) -> None:
    arguments = [str(written), str(tmp_path / "to")]

    crashed = subprocess.run([sys.executable, "-c", CRASH, point, str(reach), *arguments], check=False)
    left = sorted((tmp_path / "to").glob("blobs/*/*"))
    again = subprocess.run([sys.executable, "-c", CRASH, "", "0", *arguments], check=False)

    assert crashed.returncode == -signal.SIGKILL
    assert all(str(Digest.of(path.read_bytes())) == f"sha256:{path.name}" for path in left)
    assert again.returncode == 0
    copy(layout := LayoutDirectory.open(arguments[1]), MemoryTarget(), layout.resolve("v1"))


def test_names_given_at_the_same_time_are_all_kept(tmp_path: Path) -> None:
    layout = LayoutDirectory.create(str(tmp_path / "new"))
    names = [f"v{number}" for number in range(24)]

    run_all([partial(layout.tag, some_blob(name.encode()), name) for name in names], limit=8)

    assert sorted(name for image in layout.images() for name in image.names) == sorted(names)


def test_one_blob_pushed_many_times_at_once_is_there_once(tmp_path: Path) -> None:
    layout = LayoutDirectory.create(str(tmp_path / "new"))

    run_all([partial(layout.push, some_blob(), partial(opened_bytes, b"data"))] * 16, limit=8)

    assert os.listdir(tmp_path / "new/blobs/sha256") == [some_blob().digest.encoded]


def plant(kind: str, path: Path, tmp_path: Path) -> None:
    """Put something at `path` that is no plain file, whatever was there."""
    if path.exists():
        path.rename(tmp_path / "secret")
    match kind:
        case "symlink":
            path.symlink_to(tmp_path / "secret")
        case "dangling symlink":
            path.symlink_to(tmp_path / "nowhere")
        case "fifo":
            os.mkfifo(path)
        case "directory":
            path.mkdir()
        case "socket":
            with socket.socket(socket.AF_UNIX) as server, contextlib.chdir(path.parent):
                server.bind(path.name)  # the whole path may be too long for an address


KINDS = ["symlink", "dangling symlink", "fifo", "directory", "socket"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("member", ["oci-layout", "index.json", "blob"])
def test_a_member_that_is_no_plain_file_is_refused_without_blocking(
    written: Path, tmp_path: Path, kind: str, member: str
) -> None:
    layout = LayoutDirectory.open(str(written))
    root = layout.resolve("v1")
    plant(kind, written / (blob_name(root.digest) if member == "blob" else member), tmp_path)

    with pytest.raises(InvalidArchive):
        read_document(LayoutDirectory.open(str(written)), layout.resolve("v1"))


@pytest.mark.parametrize("parent", ["blobs", "blobs/sha256"])
@pytest.mark.parametrize("is_outside", [True, False], ids=["outside", "inside"])
def test_blobs_are_neither_read_nor_written_through_a_linked_directory(
    written: Path, tmp_path: Path, parent: str, is_outside: bool
) -> None:
    layout = LayoutDirectory.open(str(written))
    root = layout.resolve("v1")
    elsewhere = (tmp_path if is_outside else written) / "elsewhere"
    (written / parent).rename(elsewhere)
    (written / parent).symlink_to(os.path.relpath(elsewhere, (written / parent).parent))
    before = sorted(os.listdir(elsewhere))

    with pytest.raises(InvalidArchive, match="symbolic link"):
        read_document(layout, root)
    with pytest.raises(InvalidArchive, match="symbolic link"):
        layout.push(some_blob(), partial(opened_bytes, b"data"))

    assert sorted(os.listdir(elsewhere)) == before


@pytest.mark.root
def test_a_device_in_place_of_a_document_is_refused(written: Path) -> None:
    (written / "index.json").unlink()
    os.mknod(written / "index.json", 0o020666, os.makedev(1, 5))  # /dev/zero

    with pytest.raises(InvalidArchive):
        LayoutDirectory.open(str(written)).images()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"null",
        b'{"schemaVersion":2}',
        b'{"schemaVersion":2,"manifests":null}',
        b'{"schemaVersion":1,"manifests":[]}',
        b'{"schemaVersion":2,"manifests":[],"manifests":[]}',
        b'{"schemaVersion":2,"manifests":[],"layers":[]}',
        b'{"schemaVersion":2,"manifests":[null]}',
        b'{"schemaVersion":2,"manifests":[{"mediaType":"a/b","size":1,"digest":"sha256:../../x"}]}',
        b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","manifests":[]}',
        b'{"manifests":' + b"[" * 100_000,
    ],
)
def test_a_malformed_index_ends_in_one_clear_error(written: Path, raw: bytes) -> None:
    (written / "index.json").write_bytes(raw)

    with pytest.raises(InvalidArchive, match=r"index\.json"):
        LayoutDirectory.open(str(written)).images()


def test_an_index_of_a_million_entries_is_refused(written: Path) -> None:
    (written / "index.json").write_bytes(b'{"schemaVersion":2,"manifests":[' + b"0," * 999_999 + b"0]}")

    with pytest.raises(LimitExceeded):
        LayoutDirectory.open(str(written)).images()


def test_an_over_long_layout_file_is_refused(written: Path) -> None:
    (written / "oci-layout").write_bytes(b" " * 5000)

    with pytest.raises(LimitExceeded):
        LayoutDirectory.open(str(written))


def test_another_version_is_unsupported(written: Path) -> None:
    (written / "oci-layout").write_bytes(b'{"imageLayoutVersion":"9.0.0"}')

    with pytest.raises(UnsupportedContent, match=r"9\.0\.0"):
        LayoutDirectory.open(str(written))


def test_what_is_no_layout_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        LayoutDirectory.open(str(tmp_path / "missing"))
    with pytest.raises(InvalidArchive, match="no file oci-layout"):
        LayoutDirectory.open(str(tmp_path))


def test_a_layout_that_cannot_be_made_names_the_reason(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(StorageError, match="cannot make an image layout"):
        LayoutDirectory.create(str(tmp_path / "file" / "below"))


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b'{"imageLayoutVersion": 1}'])
def test_a_malformed_layout_file_is_refused(written: Path, raw: bytes) -> None:
    (written / "oci-layout").write_bytes(raw)

    with pytest.raises(InvalidArchive, match="oci-layout"):
        LayoutDirectory.open(str(written))


def test_a_layout_without_an_index_is_invalid(written: Path) -> None:
    (written / "index.json").unlink()

    with pytest.raises(InvalidArchive, match=r"has no index\.json"):
        LayoutDirectory.open(str(written)).images()


def test_a_layout_that_cannot_be_written_names_the_content_and_keeps_its_names(tmp_path: Path) -> None:
    target = LayoutDirectory.create(str(tmp_path / "to"))
    (tmp_path / "to/blobs/sha256").rmdir()
    (tmp_path / "to/blobs/sha256").write_bytes(b"in the way")
    blob = some_blob()

    with pytest.raises(StorageError, match=blob.digest.encoded):
        target.push(blob, partial(opened_bytes, b"data"))

    assert target.images() == ()
