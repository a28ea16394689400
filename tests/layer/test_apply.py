"""`layerstore.layer.apply` writes what GNU tar writes, to the last attribute, at any depth, and no further."""

import errno
import os
import resource
import stat
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures.images.entries import Entry as Member
from fixtures.images.entries import character_device, directory, fifo, file, hardlink, make_tar, symlink
from fixtures.torture import make_torture
from fixtures.trees import differences, tree_facts
from layerstore.disk.trees import remove_tree
from layerstore.errors import (
    InvalidLayer,
    MissingFeature,
    NoSpace,
    StorageError,
    StoreDamaged,
    UnsupportedContent,
)
from layerstore.layer import metadata
from layerstore.layer.apply import Base, apply_tree, contents_of
from layerstore.layer.changeset import read_changes
from layerstore.layer.descent import MAX_OPEN
from layerstore.layer.entry import Entry, Kind
from layerstore.layer.ownership import Ownership
from layerstore.layer.source import TarFile
from layerstore.layer.tar import read_entries
from layerstore.layer.tree import Node, Tree

TAR_OPTIONS = ("--numeric-owner", "--xattrs", "--xattrs-include=*", "--acls")


class Stack:
    """Layers in memory files, applied to a tree one by one."""

    def __init__(self) -> None:
        self.tree = Tree()
        self.tars: list[int] = []

    def add(self, tar: bytes) -> "Stack":
        self.tars.append(os.memfd_create("layer"))
        os.write(self.tars[-1], tar)
        self.tree.apply(read_changes(read_entries(TarFile(self.tars[-1]))))
        return self

    def add_file(self, tar: Path) -> "Stack":
        self.tars.append(os.open(tar, os.O_RDONLY))
        self.tree.apply(read_changes(read_entries(TarFile(self.tars[-1]))))
        return self

    def close(self) -> None:
        for tar in self.tars:
            os.close(tar)


@pytest.fixture
def stack() -> Iterator[Stack]:
    stack = Stack()
    yield stack
    stack.close()


def write(
    stack: Stack, target: Path, *, ownership: Ownership | None = None, base: Base | None = None
) -> Path:
    target.mkdir(exist_ok=True)
    fd = os.open(target, os.O_RDONLY)
    try:
        chosen = ownership or Ownership.of_process()
        apply_tree(stack.tree.root, stack.tars, fd, ownership=chosen, base=base)
    finally:
        os.close(fd)
    return target


def run_tar(*arguments: str) -> None:
    subprocess.run(["tar", *arguments], check=True, capture_output=True)


@pytest.mark.root
@pytest.mark.parametrize("form", ["gnu", "pax", "ustar", "v7"])
def test_every_kind_of_file_equals_what_gnu_tar_makes_of_it(form: str, stack: Stack, tmp_path: Path) -> None:
    tar = tmp_path / "layer.tar"
    options = [*TAR_OPTIONS, "--sparse"] if form == "pax" else ["--numeric-owner"]
    source = make_torture(tmp_path / "source")
    # Old formats lack room for some names, ids and devices, and say so with a status that is no failure here.
    command = ["tar", "--create", f"--file={tar}", f"--format={form}", f"--directory={source}", *options, "."]
    subprocess.run(command, check=form in ("pax", "gnu"), capture_output=True)
    (tmp_path / "theirs").mkdir()
    run_tar("--extract", "-p", f"--file={tar}", f"--directory={tmp_path / 'theirs'}", *TAR_OPTIONS)

    ours = write(stack.add_file(tar), tmp_path / "ours")

    assert differences(tree_facts(ours), tree_facts(tmp_path / "theirs")) == {}


@pytest.mark.root
def test_nothing_is_lost_that_the_tar_could_hold(stack: Stack, tmp_path: Path) -> None:
    source = make_torture(tmp_path / "source")
    (source / "fifo-again").unlink()  # GNU tar stores a FIFO's second name as another FIFO
    tar = tmp_path / "layer.tar"
    run_tar(
        "--create", f"--file={tar}", "--format=pax", f"--directory={source}", *TAR_OPTIONS, "--sparse", "."
    )

    ours = write(stack.add_file(tar), tmp_path / "ours")

    facts = tree_facts(source)
    assert {**differences(tree_facts(ours), facts)}.keys() <= {"."}  # its mtime moved with the FIFO
    assert os.stat(ours / "sparse").st_blocks * 512 < os.stat(ours / "sparse").st_size / 4
    assert os.stat(ours / "hole").st_blocks == 0


def test_the_metadata_of_a_directory_outlives_the_filling_of_it(stack: Stack, tmp_path: Path) -> None:
    members = [
        Member("a", kind=b"5", mode=0o555, mtime=1000),
        Member("a/b", kind=b"5", mode=0o500, mtime=2000),
        file("a/b/c", b"x"),
    ]

    target = write(stack.add(make_tar(members)), tmp_path / "root")

    found = [os.stat(target / name) for name in ("a", "a/b")]
    assert [status.st_mtime for status in found] == [1000, 2000]
    assert [stat.S_IMODE(status.st_mode) for status in found] == [0o555, 0o500]


def test_what_the_target_would_hand_down_is_not_inherited(stack: Stack, tmp_path: Path) -> None:
    target = tmp_path / "root"
    target.mkdir()
    target.chmod(0o2777)
    acl = bytes.fromhex("02000000 01000700ffffffff 02000700e8030000 04000700ffffffff 10000700ffffffff")
    os.setxattr(target, "system.posix_acl_default", acl + bytes.fromhex("20000700ffffffff"))

    write(stack.add(make_tar([directory("d"), file("d/f"), directory("d/e", mode=0o700)])), target)

    assert [oct(os.stat(target / name).st_mode & 0o7777) for name in ("d", "d/f", "d/e")] == [
        "0o755",
        "0o644",
        "0o700",
    ]
    assert os.listxattr(target / "d" / "f") == os.listxattr(target / "d") == []


def test_a_tree_deeper_than_descriptors_and_stack_is_whole_and_leaves_none_open(
    stack: Stack, tmp_path: Path
) -> None:
    depth = 1100
    names = ["/".join(["d"] * (level + 1)) for level in range(depth)]
    stack.add(make_tar([*(directory(name, mode=0o700) for name in names), file(f"{names[-1]}/f", b"deep")]))
    before = os.listdir("/proc/self/fd")

    target = write(stack, tmp_path / "root")

    assert os.listdir("/proc/self/fd") == before
    assert (target / names[-1] / "f").read_bytes() == b"deep"
    remove_tree(str(target))  # deeper than pytest's own clean-up can go


def test_depth_costs_no_more_descriptors_than_the_bound(stack: Stack, tmp_path: Path) -> None:
    stack.add(make_tar([file("/".join(["d"] * 500) + "/f", b"deep")]))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = max(map(int, os.listdir("/proc/self/fd")))
    (tmp_path / "root").mkdir()

    resource.setrlimit(resource.RLIMIT_NOFILE, (used + MAX_OPEN + 8, hard))
    try:
        write(stack, tmp_path / "root")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert (tmp_path / "root" / "/".join(["d"] * 500) / "f").read_bytes() == b"deep"


def test_hardlinks_reach_into_closed_directories_and_from_them(stack: Stack, tmp_path: Path) -> None:
    members = [
        directory("shut", mode=0o000),
        file("shut/first", b"x"),
        directory("z"),
        hardlink("z/second", "shut/first"),
        hardlink("shut/third", "z/second"),
        symlink("link", "nowhere"),
        hardlink("z/link", "link"),
    ]

    target = write(stack.add(make_tar(members)), tmp_path / "root")

    (target / "shut").chmod(0o700)
    inodes = {os.stat(target / name).st_ino for name in ("shut/first", "z/second", "shut/third")}
    assert len(inodes) == 1
    assert os.lstat(target / "link").st_ino == os.lstat(target / "z" / "link").st_ino
    assert os.stat(target / "z" / "second").st_nlink == 3
    assert sorted(os.listdir(target)) == ["link", "shut", "z"]


def test_a_file_replaced_in_a_higher_layer_takes_nothing_from_its_other_name(
    stack: Stack, tmp_path: Path
) -> None:
    stack.add(make_tar([file("a", b"old"), hardlink("b", "a")])).add(make_tar([file("a", b"new")]))

    target = write(stack, tmp_path / "root")

    assert ((target / "a").read_bytes(), (target / "b").read_bytes()) == (b"new", b"old")


@pytest.mark.parametrize("name", [b"..", b".", b"", b"a/b", b"../../canary", b"/canary"])
def test_a_tree_with_a_name_that_is_a_path_is_refused(name: bytes, tmp_path: Path) -> None:
    stack = Stack()
    stack.tree.root.children = {name: Node(Entry(b"", Kind.DIRECTORY, 0o755), 0)}

    with pytest.raises(InvalidLayer, match="is no name"):
        write(stack, tmp_path / "root")


def test_a_tar_that_was_cut_short_is_reported_as_damage(stack: Stack, tmp_path: Path) -> None:
    stack.add(make_tar([file("f", b"x" * 5000)]))
    os.ftruncate(stack.tars[0], 2048)

    with pytest.raises(StoreDamaged, match="cannot write 'f': its layer's tar ends at byte 2048"):
        write(stack, tmp_path / "root")


def test_what_is_in_the_way_is_never_written_through(stack: Stack, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    canary.write_text("untouched")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "f").symlink_to(canary)

    with pytest.raises(StorageError, match="cannot write 'f': file exists"):
        write(stack.add(make_tar([file("f", b"x")])), tmp_path / "root")

    assert canary.read_text() == "untouched"


def test_a_directory_swapped_for_a_symlink_meanwhile_is_not_followed(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    target = tmp_path / "root"
    stack.add(make_tar([directory("d"), file("d/f", b"x")]))
    mkdir = os.mkdir

    def mkdir_then_swap(path: bytes, mode: int, *, dir_fd: int | None = None) -> None:
        mkdir(path, mode, dir_fd=dir_fd)
        if dir_fd is not None:
            os.rmdir(path, dir_fd=dir_fd)
            os.symlink(outside, path, dir_fd=dir_fd)

    monkeypatch.setattr(os, "mkdir", mkdir_then_swap)

    with pytest.raises(StorageError, match="cannot write 'd'"):
        write(stack, target)

    assert list(outside.iterdir()) == []


def test_a_special_file_swapped_for_a_symlink_meanwhile_takes_no_metadata_elsewhere(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    canary = tmp_path / "canary"
    canary.write_text("")
    canary.chmod(0o600)
    before = os.stat(canary)
    mknod = os.mknod

    def mknod_then_swap(path: bytes, mode: int, device: int, *, dir_fd: int) -> None:
        mknod(path, mode, device, dir_fd=dir_fd)
        os.unlink(path, dir_fd=dir_fd)
        os.symlink(canary, path, dir_fd=dir_fd)

    monkeypatch.setattr(os, "mknod", mknod_then_swap)

    with pytest.raises(StorageError, match="cannot write 'f'"):
        write(stack.add(make_tar([fifo("f")])), tmp_path / "root")

    assert os.stat(canary) == before


@pytest.mark.root
def test_a_full_file_system_is_named_as_such(stack: Stack, tmp_path: Path) -> None:
    stack.add(make_tar([file("big", bytes(1 << 20))]))
    mounted = tmp_path / "small"
    mounted.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", mounted], check=True)
    try:
        with pytest.raises(NoSpace, match="cannot write 'big': no space left"):
            write(stack, mounted)
    finally:
        subprocess.run(["umount", mounted], check=True)


def test_one_id_alone_keeps_modes_and_skips_owners_and_devices(stack: Stack, tmp_path: Path) -> None:
    members = [
        file("f", b"x", mode=0o4755, uid=0, gid=42),
        character_device("null", 1, 3),
        hardlink("null-again", "null"),
        fifo("pipe"),
    ]

    target = write(stack.add(make_tar(members)), tmp_path / "root", ownership=Ownership.IGNORED)

    status = os.stat(target / "f")
    assert (status.st_uid, status.st_gid) == (os.geteuid(), os.getegid())
    assert stat.S_IMODE(status.st_mode) == 0o4755
    assert sorted(os.listdir(target)) == ["f", "pipe"]


def test_an_attribute_that_the_kernel_refuses_is_dropped_for_all_but_root(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "operation not permitted")

    monkeypatch.setattr(os, "setxattr", refuse)
    stack.add(make_tar([Member("f", xattrs={"security.capability": b"caps"}, uid=os.geteuid())]))

    target = write(stack, tmp_path / "user", ownership=Ownership.IGNORED)

    assert (target / "f").exists()
    with pytest.raises(StorageError, match="cannot write 'f': operation not permitted"):
        write(stack, tmp_path / "root", ownership=Ownership.EXACT)


def test_an_owner_that_a_user_namespace_lacks_is_named_with_what_to_do(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(22, "invalid argument")

    monkeypatch.setattr(metadata.os, "chown", refuse)

    with pytest.raises(MissingFeature, match="cannot give 'f' to 0:42") as caught:
        write(stack.add(make_tar([file("f", gid=42)])), tmp_path / "root", ownership=Ownership.MAPPED)

    assert "usermod --add-subuids" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("euid", "uid_map", "expected"),
    [
        (0, "         0          0 4294967295\n", Ownership.EXACT),
        (1000, "         0          0 4294967295\n", Ownership.IGNORED),
        (0, "         0       1000          1\n", Ownership.IGNORED),
        (0, "         0       1000          1\n         1     100000      65536\n", Ownership.MAPPED),
    ],
)
def test_ownership_follows_from_the_id_and_its_map(euid: int, uid_map: str, expected: Ownership) -> None:
    assert Ownership.of(euid, uid_map) is expected


def bases(layers: Sequence[bytes], target: Path, opened: ExitStack) -> tuple[Stack, Base]:
    """The lower layers written to `target`, and the stack still open for more."""
    stack = Stack()
    opened.callback(stack.close)
    for layer in layers:
        stack.add(layer)
    write(stack, target)
    fd = os.open(target, os.O_RDONLY)
    opened.callback(os.close, fd)
    return stack, Base(fd, contents_of(stack.tree.root))


def test_unchanged_files_share_their_inodes_with_the_base_and_changed_ones_do_not(tmp_path: Path) -> None:
    lower = make_tar(
        [
            directory("d"),
            file("d/kept", b"kept"),
            file("d/changed", b"old"),
            symlink("d/link", "kept"),
            file("gone", b"gone"),
            file("x", b"x"),
            hardlink("y", "x"),
        ]
    )
    upper = make_tar(
        [
            directory("d", mode=0o700),
            file("d/changed", b"new"),
            hardlink("gone", "d/kept"),
            file("x", b"x2"),
        ]
    )
    with ExitStack() as opened:
        stack, base = bases([lower], tmp_path / "base", opened)
        stack.add(upper)

        target = write(stack, tmp_path / "root", base=base)

    def inode(path: str, root: Path) -> int:
        return os.lstat(root / path).st_ino

    assert inode("d/kept", target) == inode("d/kept", tmp_path / "base") == inode("gone", target)
    assert inode("d/link", target) == inode("d/link", tmp_path / "base")
    assert inode("y", target) == inode("y", tmp_path / "base")
    assert inode("d/changed", target) != inode("d/changed", tmp_path / "base")
    assert [(target / name).read_bytes() for name in ("d/changed", "gone", "x", "y")] == [
        b"new",
        b"kept",
        b"x2",
        b"x",
    ]
    assert (tmp_path / "base" / "gone").read_bytes() == b"gone"
    assert stat.S_IMODE(os.stat(tmp_path / "base" / "d").st_mode) == 0o755


def test_a_base_that_lost_files_costs_the_sharing_and_no_more(tmp_path: Path) -> None:
    lower = make_tar([directory("d"), file("d/a", b"a"), directory("e"), file("e/b", b"b"), file("f", b"f")])
    with ExitStack() as opened:
        stack, base = bases([lower], tmp_path / "base", opened)
        (tmp_path / "base" / "f").unlink()
        (tmp_path / "base" / "e" / "b").unlink()
        (tmp_path / "base" / "e").rmdir()
        (tmp_path / "base" / "e").symlink_to("d")

        target = write(stack, tmp_path / "root", base=base)

    assert [(target / name).read_bytes() for name in ("d/a", "e/b", "f")] == [b"a", b"b", b"f"]


NAMES = st.sampled_from(["a", "b", "c"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
MEMBERS = st.one_of(
    st.builds(file, PATHS, st.binary(max_size=3)),
    st.builds(directory, PATHS),
    st.builds(symlink, PATHS, st.sampled_from(["a", "../b", "/c", "nowhere"])),
)


@settings(max_examples=60, deadline=None)
@given(layers=st.lists(st.lists(MEMBERS, max_size=6), min_size=2, max_size=4), split=st.integers(1, 3))
def test_a_tree_written_over_a_base_equals_one_written_alone(
    layers: list[list[Member]], split: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("stack")
    tars = [make_tar(members) for members in layers]
    with ExitStack() as opened:
        alone = Stack()
        opened.callback(alone.close)
        try:
            for tar in tars:
                alone.add(tar)
        except InvalidLayer:
            return
        stack, base = bases(tars[:split], folder / "base", opened)
        for tar in tars[split:]:
            stack.add(tar)

        write(stack, folder / "shared", base=base)
        write(alone, folder / "alone")

    assert differences(tree_facts(folder / "shared"), tree_facts(folder / "alone")) == {}


@pytest.mark.root
def test_an_attribute_that_the_kernel_finds_malformed_is_the_layers_fault(
    stack: Stack, tmp_path: Path
) -> None:
    stack.add(make_tar([Member("f", xattrs={"security.capability": b"x"})]))

    with pytest.raises(
        InvalidLayer, match=r"'f' the attribute 'security.capability': its value is malformed"
    ):
        write(stack, tmp_path / "ours")


@pytest.mark.root
def test_attributes_that_outgrow_the_file_system_are_no_full_disk(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack.add(make_tar([Member("f", xattrs={"user.a": b"x"})]))

    def refuse(inode: int | bytes, name: bytes, value: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(metadata.os, "setxattr", refuse)

    with pytest.raises(UnsupportedContent, match=r"'f' the attribute 'user.a': no room for it") as caught:
        write(stack, tmp_path / "ours")
    assert caught.value.hint == "lstore --driver erofs …"
