"""Contexts that come as a tar."""

import gzip
import io
import os
import tarfile
from pathlib import Path

import pytest

from layerstore.build.tar_context import HEAD_SIZE, is_tar, unpack_tar_context
from layerstore.errors import InvalidArchive, LstoreError, UnsupportedContent


def tar(*members: tarfile.TarInfo | tuple[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for member in members:
            if isinstance(member, tuple):
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                info.uid = info.gid = 4242
                archive.addfile(info, io.BytesIO(member[1]))
            else:
                archive.addfile(member)
    return stream.getvalue()


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, target, 0o644
    return info


def unpack(tmp_path: Path, raw: bytes) -> Path:
    (tmp_path / "context.tar").write_bytes(raw)
    root = tmp_path / "root"
    root.mkdir()
    fd = os.open(root, os.O_RDONLY)
    try:
        unpack_tar_context(os.fspath(tmp_path / "context.tar"), fd, os.fspath(tmp_path))
    finally:
        os.close(fd)
    return root


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_a_tar_becomes_a_directory(tmp_path: Path, compress) -> None:
    raw = tar(
        ("./Dockerfile", b"FROM scratch"), ("dir/.wh.file", b"x"), special("link", tarfile.SYMTYPE, "dir")
    )

    root = unpack(tmp_path, compress(raw))

    assert (root / "Dockerfile").read_bytes() == b"FROM scratch"
    assert (root / "dir/.wh.file").read_bytes() == b"x"
    assert os.readlink(root / "link") == "dir"
    assert (root / "Dockerfile").stat().st_uid == os.geteuid()


def test_device_nodes_are_left_out(tmp_path: Path) -> None:
    root = unpack(tmp_path, tar(special("null", tarfile.CHRTYPE), ("file", b"x")))

    assert os.listdir(root) == ["file"]


@pytest.mark.parametrize(
    "members",
    [
        [("../canary", b"evil")],
        [special("dir", tarfile.SYMTYPE, ".."), ("dir/canary", b"evil")],
        [special("dir", tarfile.SYMTYPE, "/"), ("dir/tmp/canary", b"evil")],
        [special("file", tarfile.LNKTYPE, "../canary")],
        [special(".", tarfile.SYMTYPE, ".."), ("canary", b"evil")],
    ],
)
def test_a_hostile_tar_changes_nothing_outside(tmp_path: Path, members: list) -> None:
    canary = tmp_path / "canary"
    canary.write_text("unchanged")

    try:
        root = unpack(tmp_path, tar(*members))
    except LstoreError:
        root = tmp_path / "root"

    assert canary.read_text() == "unchanged"
    assert canary.stat().st_nlink == 1
    assert not (root / "../evil").exists()


def test_what_is_no_tar_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidArchive, match="cannot unpack the build context"):
        unpack(tmp_path, b"FROM scratch\n" * 100)


def test_a_tar_is_told_from_a_dockerfile() -> None:
    raw = tar(("a", b"x"))

    assert is_tar(raw[:HEAD_SIZE])
    assert is_tar(gzip.compress(raw)[:HEAD_SIZE])
    assert not is_tar(b"FROM scratch\n")
    assert not is_tar(b"")
    with pytest.raises(UnsupportedContent):
        is_tar(b"BZh91AY&SY")
