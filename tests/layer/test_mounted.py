"""The kernel's view of an index against root's GNU tar, path by path."""

import os
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fixtures.images.entries import Entry, make_tar
from fixtures.observed import Observed, observe_directory, observe_index
from fixtures.raw_tar import END, RawHeader, base256, gnu_long, pax_member
from layerstore.layer.ingest import LayerWriter
from layerstore.mount import ErofsImage, MountStack
from layerstore.snapshot.overlay import attach, detach

CAPABILITY = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)
"""cap_net_bind_service=ep, linux/capability.h VFS_CAP_REVISION_2."""

pytestmark = [pytest.mark.root, pytest.mark.package("tar")]


@contextmanager
def mounted(index: str, tars: tuple[str, ...], target: Path) -> Iterator[Path]:
    target.mkdir()
    attach(MountStack((ErofsImage(index, tars),)), str(target))
    try:
        yield target
    finally:
        detach(str(target))


def ingest(blob: bytes, directory: Path) -> tuple[str, str]:
    directory.mkdir()
    with LayerWriter(str(directory)) as writer:
        writer.write(blob)
        writer.finish()
    return str(directory / "index"), str(directory / "tar")


def see_both(tar: bytes, base: Path) -> tuple[dict[bytes, Observed], dict[bytes, Observed]]:
    """What root's GNU tar makes of `tar`, and what the kernel shows of its index."""
    index, kept = ingest(tar, base / "layer")
    unpacked = base / "unpacked"
    unpacked.mkdir()
    os.utime(unpacked, (0, 0))
    options = ["--xattrs", "--xattrs-include=*", "--acls", "--numeric-owner", "--same-owner", "-p"]
    subprocess.run(["tar", "-x", *options, "-f", kept, "-C", unpacked], check=True)
    with mounted(index, (kept,), base / "mounted") as target:
        seen = observe_directory(target)
    return observe_directory(unpacked), seen


def real_tree(root: Path) -> None:
    """A directory with one of everything."""
    root.mkdir()
    (root / "usr/bin").mkdir(parents=True)
    (root / "empty").mkdir(mode=0o1777)
    (root / "usr/bin/tool").write_bytes(os.urandom(70_000))
    os.chmod(root / "usr/bin/tool", 0o4755)
    os.setxattr(root / "usr/bin/tool", "security.capability", CAPABILITY)
    os.link(root / "usr/bin/tool", root / "usr/bin/alias")
    os.link(root / "usr/bin/tool", root / "third")
    (root / "zero").touch()
    os.chown(root / "zero", 70_000, 4_000_000_000)
    os.symlink("usr/bin/tool", root / "short")
    os.symlink("x" * 400, root / "medium")
    os.symlink("y/" * 300, root / "long")
    os.symlink("z" * 4000, root / "longest")
    os.mknod(root / "null", 0o20666, os.makedev(1, 3))
    os.mknod(root / "disk", 0o60640, os.makedev(259, 70_000))
    os.mkfifo(root / "pipe", 0o640)
    for name, value in (("user.a", b"1"), ("user.bin", b"\1\2\xff"), ("trusted.t", b"x" * 900)):
        os.setxattr(root / "zero", name, value)
    os.setxattr(root / "empty", "user.empty", b"")
    os.setxattr(root / "short", "trusted.on-a-link", b"v" * 100, follow_symlinks=False)
    os.setxattr(root / "medium", "trusted.on-a-link", b"v" * 60, follow_symlinks=False)
    # ids that no host has names for: GNU tar writes names where it can
    acl = "user::rwx,user:31000:r-x,group::r-x,group:31001:rw-,mask::rwx,other::---"
    subprocess.run(["setfacl", "-m", acl, root / "usr"], check=True)
    subprocess.run(["setfacl", "-d", "-m", acl, root / "usr/bin"], check=True)
    for name in (
        b"!first",
        b"+second",
        b".hidden",
        b"..two",
        b"\xff\xfe",
        b"\xe4\xf6",
        b"with space",
        b"n" * 255,
    ):
        (root / os.fsdecode(name)).write_bytes(name)
    (root / "many").mkdir()
    for number in range(700):
        (root / f"many/file-with-a-rather-long-name-{number:05}").write_bytes(b"%d" % number)
    with open(root / "holes", "wb") as file:
        for at in (0, 1 << 20, 3 << 20):
            file.seek(at)
            file.write(os.urandom(5000))
        file.truncate(5 << 20)
    below = [Path(at, name) for at, *names in os.walk(root) for name in (*names[0], *names[1])]
    for number, path in enumerate(sorted(below)):
        os.utime(path, ns=(0, 1_600_000_000_123_456_789 + number), follow_symlinks=False)
    os.utime(root / "zero", ns=(0, -1_500_000_000))
    os.utime(root, ns=(0, 987_654_321))


FORMATS = {
    "pax": ["--format=pax", "--xattrs", "--xattrs-include=*", "--acls"],
    "pax with sparse files": ["--format=pax", "--xattrs", "--acls", "--sparse"],
    "gnu": ["--format=gnu"],
    "gnu with sparse files": ["--format=gnu", "--sparse"],
}


@pytest.mark.package("acl")
@pytest.mark.parametrize("options", FORMATS.values(), ids=FORMATS)
def test_a_tree_with_one_of_everything_is_what_tar_unpacks(tmp_path: Path, options: list[str]) -> None:
    real_tree(tmp_path / "real")
    command = [
        "tar",
        "-c",
        *options,
        "--numeric-owner",
        "-f",
        tmp_path / "archive",
        "-C",
        tmp_path / "real",
        ".",
    ]
    subprocess.run(command, check=True)

    unpacked, seen = see_both((tmp_path / "archive").read_bytes(), tmp_path)

    assert len(seen) > 700
    assert seen == unpacked


@pytest.mark.parametrize("form", ["v7", "ustar", "oldgnu"])
def test_old_formats_are_read_like_tar_does(tmp_path: Path, form: str) -> None:
    source = tmp_path / "real"
    (source / "some/dir").mkdir(parents=True)
    (source / "some/file").write_bytes(b"content")
    os.link(source / "some/file", source / "some/dir/link")
    os.symlink("../file", source / "some/dir/symlink")
    command = [
        "tar",
        "-c",
        f"--format={form}",
        "--mtime=@1600000000",
        "-f",
        tmp_path / "a",
        "-C",
        source,
        ".",
    ]
    subprocess.run(command, check=True)

    unpacked, seen = see_both((tmp_path / "a").read_bytes(), tmp_path)

    assert seen == unpacked


ODD_MEMBERS = {
    "the last of equal names wins": [
        RawHeader(name=b"./", kind=b"5", mode=b"0000755\0").member(),
        RawHeader(name=b"a", mode=b"0000600\0").member(b"old"),
        RawHeader(name=b"a", mode=b"0000644\0").member(b"new"),
        RawHeader(name=b"b", kind=b"5", mode=b"0000700\0").member(),
        RawHeader(name=b"b", kind=b"5", mode=b"0000755\0").member(),
    ],
    "a link keeps what its replaced target was": [
        RawHeader(name=b"./", kind=b"5", mode=b"0000755\0").member(),
        RawHeader(name=b"a").member(b"old"),
        RawHeader(name=b"b", kind=b"1", link=b"a").member(),
        RawHeader(name=b"a").member(b"new"),
    ],
    "a hardlink to a symlink is the symlink": [
        RawHeader(name=b"./", kind=b"5", mode=b"0000755\0").member(),
        RawHeader(name=b"s", kind=b"2", link=b"nowhere", mode=b"0000777\0").member(),
        RawHeader(name=b"t", kind=b"1", link=b"s").member(),
    ],
    "binary numbers and long names": [
        RawHeader(name=b"./", kind=b"5", mode=b"0000755\0").member(),
        RawHeader(name=b"n", uid=base256(3_000_000_000, 8), mtime=base256(-77, 12)).member(b"x"),
        gnu_long(b"L", b"l" * 200),
        gnu_long(b"K", b"k" * 3000),
        RawHeader(name=b"l", kind=b"2", link=b"k", magic=b"ustar  \0", mode=b"0000777\0").member(),
        pax_member((b"path", b"p" * 201), (b"mtime", b"1234567890.000000001")),
        RawHeader(name=b"p").member(b"y" * 1025),
    ],
}


@pytest.mark.parametrize("members", ODD_MEMBERS.values(), ids=ODD_MEMBERS)
def test_odd_archives_are_read_like_tar_does(tmp_path: Path, members: list[bytes]) -> None:
    unpacked, seen = see_both(b"".join(members) + END, tmp_path)

    assert seen == unpacked


def test_the_kernel_and_the_reader_see_the_same(tmp_path: Path) -> None:
    xattrs = {"user.big": b"v" * 3000, "user.small": b"s"}
    entries = [
        Entry(f"d{n}/f{n}", data=b"z" * (n * 300), xattrs=xattrs if n % 3 == 0 else {}) for n in range(40)
    ]
    index, tar = ingest(make_tar(entries), tmp_path / "layer")

    with mounted(index, (tar,), tmp_path / "mounted") as target:
        seen = observe_directory(target)

    assert seen == observe_index(Path(index).read_bytes(), [Path(tar).read_bytes()])


def test_symlinks_of_every_length_read_back_whole(tmp_path: Path) -> None:
    entries = [
        Entry(f"s{n}", kind=b"2", target="t" * n, mode=0o777, xattrs={"trusted.x": b"v" * (n % 97)})
        for n in range(1, 1200, 3)
    ]
    index, tar = ingest(make_tar(entries), tmp_path / "layer")

    with mounted(index, (tar,), tmp_path / "mounted") as target:
        targets = [os.readlink(target / entry.name) for entry in entries]

    assert targets == [entry.target for entry in entries]


@pytest.mark.parametrize("size", [1, 511, 513, 1024])
def test_the_file_that_an_unpadded_tar_ends_in_is_whole(tmp_path: Path, size: int) -> None:
    data = b"z" * size
    padded_tar = make_tar([Entry("first", data=b"1" * 700), Entry("last", data=data)])
    end = padded_tar.rindex(data) + size

    index, kept = ingest(padded_tar[:end], tmp_path / "layer")

    with mounted(index, (kept,), tmp_path / "mounted") as target:
        assert (target / "first").read_bytes() == b"1" * 700
        assert (target / "last").read_bytes() == data
