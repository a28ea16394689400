"""Archives however they come: plain, compressed, from a pipe; and bytes that are none."""

import bz2
import gzip
import io
import lzma
import os
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import zstandard

from fixtures.images.docker_archive import save_old
from fixtures.images.entries import file, make_tar
from fixtures.images.layout import layer
from fixtures.memory import MemoryTarget
from layerstore.archive import members, spool
from layerstore.archive.open import open_archive
from layerstore.copy import copy
from layerstore.errors import (
    InvalidArchive,
    LimitExceeded,
    LstoreError,
    NotFound,
    StorageError,
    UnsupportedContent,
)

PLAIN = save_old([((layer([file("a", os.urandom(300_000))], "none"),), ("a:1",))]).to_tar()
FORMS = {
    "plain": PLAIN,
    "gzip": gzip.compress(PLAIN),
    "gzip in members": gzip.compress(PLAIN[:70_000]) + gzip.compress(PLAIN[70_000:]),
    "zstd": zstandard.ZstdCompressor().compress(PLAIN),
}


@contextmanager
def piped(data: bytes) -> Iterator[io.BufferedReader]:
    """The reading end of a pipe that gives `data`, in small pieces."""
    reading, writing = os.pipe()

    def feed() -> None:
        with os.fdopen(writing, "wb", buffering=0) as stream:
            try:
                stream.write(data[:3])
                stream.write(data[3:])
            except BrokenPipeError:
                pass

    thread = threading.Thread(target=feed)
    thread.start()
    with os.fdopen(reading, "rb") as stream:
        yield stream
    thread.join()


@pytest.fixture
def spool_directory(tmp_path: Path) -> Iterator[str]:
    """Where archives are unpacked to; empty again when the test ends."""
    path = tmp_path / "spool"
    path.mkdir()
    yield str(path)
    assert os.listdir(path) == []


@pytest.mark.parametrize("form", FORMS)
def test_a_file_is_read_in_every_form(tmp_path: Path, spool_directory: str, form: str) -> None:
    path = tmp_path / "archive"
    path.write_bytes(FORMS[form])
    target = MemoryTarget()

    with open_archive(str(path), spool_directory) as archive:
        copy(archive, target, archive.resolve("a:1"))

    assert target.has(target.pushed[-1])


@pytest.mark.parametrize("form", FORMS)
def test_a_pipe_is_read_in_every_form(spool_directory: str, form: str) -> None:
    target = MemoryTarget()

    with piped(FORMS[form]) as stream, open_archive(stream, spool_directory) as archive:
        copy(archive, target, archive.resolve("a:1"))

    assert len(target.pushed) == 3


def test_a_plain_file_on_standard_input_is_read_where_it_lies(tmp_path: Path) -> None:
    path = tmp_path / "archive"
    path.write_bytes(PLAIN)
    nowhere = str(tmp_path / "missing")

    with path.open("rb") as stream, open_archive(stream, nowhere) as archive:
        names = archive.images()[0].names

    assert names == ("a:1",)


def test_a_file_that_was_read_from_before_is_read_from_there(tmp_path: Path, spool_directory: str) -> None:
    path = tmp_path / "archive"
    path.write_bytes(b"preamble" + PLAIN)

    with path.open("rb", buffering=0) as stream:
        stream.read(8)
        with open_archive(stream, spool_directory) as archive:
            assert archive.images()[0].names == ("a:1",)


@pytest.mark.parametrize("form", ["gzip", "zstd"])
@pytest.mark.parametrize("left", [5, 100, 10_000, -1])
def test_a_truncated_stream_is_an_invalid_archive(spool_directory: str, form: str, left: int) -> None:
    with (
        piped(FORMS[form][:left]) as stream,
        pytest.raises(InvalidArchive, match="standard input"),
        open_archive(stream, spool_directory),
    ):
        pass


@pytest.mark.parametrize("form", ["gzip", "zstd"])
def test_garbage_behind_the_magic_is_an_invalid_archive(
    tmp_path: Path, spool_directory: str, form: str
) -> None:
    path = tmp_path / "archive"
    path.write_bytes(FORMS[form][:6] + bytes(range(256)) * 10)

    with pytest.raises(InvalidArchive, match="cannot unpack"), open_archive(str(path), spool_directory):
        pass


@pytest.mark.parametrize(("data", "name"), [(lzma.compress(b"x"), "xz"), (bz2.compress(b"x"), "bzip2")])
def test_other_compressions_are_named(tmp_path: Path, spool_directory: str, data: bytes, name: str) -> None:
    path = tmp_path / "archive"
    path.write_bytes(data)

    with pytest.raises(UnsupportedContent, match=name), open_archive(str(path), spool_directory):
        pass


def test_a_decompression_bomb_is_stopped(spool_directory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "MAX_ARCHIVE", 1 << 20)
    bomb = gzip.compress(bytes(8 << 20))

    with piped(bomb) as stream, pytest.raises(LimitExceeded), open_archive(stream, spool_directory):
        pass


@pytest.mark.parametrize(
    "data", [b"", b"x", b"hello world" * 100, bytes(10_240), bytes(511), os.urandom(4096)]
)
def test_bytes_that_are_no_archive_are_said_to_be_none(
    tmp_path: Path, spool_directory: str, data: bytes
) -> None:
    path = tmp_path / "archive"
    path.write_bytes(data)

    with pytest.raises(InvalidArchive), open_archive(str(path), spool_directory):
        pass


def test_a_root_filesystem_is_pointed_to_import(tmp_path: Path, spool_directory: str) -> None:
    path = tmp_path / "archive"
    path.write_bytes(make_tar([file("etc/passwd", b"root")]))

    with pytest.raises(InvalidArchive, match="no images") as caught, open_archive(str(path), spool_directory):
        pass

    assert "lstore import" in (caught.value.hint or "")


def test_a_file_that_is_not_there_is_not_found(tmp_path: Path, spool_directory: str) -> None:
    with pytest.raises(NotFound), open_archive(str(tmp_path / "missing"), spool_directory):
        pass


def test_a_spool_directory_that_is_not_there_is_a_storage_error(tmp_path: Path) -> None:
    with (
        piped(PLAIN) as stream,
        pytest.raises(StorageError, match="missing"),
        open_archive(stream, str(tmp_path / "missing")),
    ):
        pass


def test_a_file_that_is_no_tar_is_told_from_a_broken_one(tmp_path: Path, spool_directory: str) -> None:
    path = tmp_path / "archive"
    path.write_bytes(b"root:x:0:0:root\n" * 100)

    with (
        pytest.raises(InvalidArchive, match="archive: it is no tar archive: "),
        open_archive(str(path), spool_directory),
    ):
        pass


def test_members_are_bounded(tmp_path: Path, spool_directory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(members, "MAX_MEMBERS", 10)
    path = tmp_path / "archive"
    path.write_bytes(make_tar([file(f"{number}") for number in range(11)]))

    with pytest.raises(LimitExceeded, match="members"), open_archive(str(path), spool_directory):
        pass


@pytest.mark.parametrize(
    ("name", "records"),
    [
        ("../manifest.json", {}),
        ("a/../../manifest.json", {}),
        ("x" * 5000, {}),
        ("manifest.json", {"path": "../manifest.json"}),
        ("manifest.json", {"size": "-1"}),
        ("manifest.json", {"size": "9" * 30}),
        ("manifest.json", {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}),
        ("manifest.json", {"comment": "x" * (2 << 20)}),
    ],
    ids=["climbing", "climbing within", "long", "overridden", "negative", "huge", "sparse", "huge header"],
)
def test_a_hostile_header_ends_in_a_typed_error(
    tmp_path: Path, spool_directory: str, name: str, records: dict[str, str]
) -> None:
    info = tarfile.TarInfo(name)
    info.size = 2
    info.pax_headers = records
    path = tmp_path / "archive"
    path.write_bytes(info.tobuf(format=tarfile.PAX_FORMAT) + b"[]".ljust(512, b"\0") + bytes(1024))

    with pytest.raises(LstoreError), open_archive(str(path), spool_directory):
        pass


def test_a_document_that_is_sparse_is_refused(tmp_path: Path, spool_directory: str) -> None:
    info = tarfile.TarInfo("manifest.json")
    info.size = 2
    info.pax_headers = {"GNU.sparse.size": "8", "GNU.sparse.numblocks": "1", "GNU.sparse.map": "0,2"}
    path = tmp_path / "archive"
    path.write_bytes(info.tobuf(format=tarfile.PAX_FORMAT) + b"[]".ljust(512, b"\0") + bytes(1024))

    with pytest.raises(InvalidArchive, match="sparse"), open_archive(str(path), spool_directory):
        pass


def test_a_document_of_many_gigabytes_is_refused_before_it_is_read(
    tmp_path: Path, spool_directory: str
) -> None:
    info = tarfile.TarInfo("manifest.json")
    info.size = 1 << 36
    path = tmp_path / "archive"
    path.write_bytes(info.tobuf(format=tarfile.PAX_FORMAT))
    os.truncate(path, (1 << 36) + (1 << 20))  # a file of holes

    with pytest.raises(LimitExceeded, match="manifest"), open_archive(str(path), spool_directory):
        pass
