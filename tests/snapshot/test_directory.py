"""The driver ``directory``: one directory per stack, and one inode per file that stacks have in common."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from fixtures.images.entries import Entry, directory, file, make_tar, opaque, symlink, whiteout
from fixtures.namespaces import in_user_namespace
from fixtures.trees import tree_facts
from layerstore.disk.trees import Meter
from layerstore.errors import InvalidLayer, StorageError
from layerstore.layer.diff import diff
from layerstore.layer.ingest import LayerWriter
from layerstore.layer.ownership import Ownership
from layerstore.mount import Directory, MountStack
from layerstore.snapshot.directory import DirectoryDriver
from layerstore.snapshot.overlay import attach, detach

BASE = (directory("etc"), file("etc/hosts", b"localhost"), file("etc/motd", b"hello"), directory("var"))
MIDDLE = (directory("etc"), file("etc/motd", b"good bye"), file("etc/new", b"new"))
TOP = (whiteout("etc/new"), directory("var"), opaque("var"), symlink("var/run", "../run"))

Ingest = Callable[[Sequence[Entry]], str]
Assemble = Callable[[Sequence[str], str | None], str]


@pytest.fixture
def ingest(tmp_path: Path) -> Ingest:
    """Turns entries into a layer's directory."""
    made: list[str] = []

    def ingest_entries(entries: Sequence[Entry]) -> str:
        made.append(str(tmp_path / f"sha256-{len(made)}"))
        os.mkdir(made[-1])
        with LayerWriter(made[-1]) as writer:
            writer.write(make_tar(entries))
            writer.finish()
        return made[-1]

    return ingest_entries


@pytest.fixture
def assemble(tmp_path: Path) -> Assemble:
    """Assembles a stack in a fresh directory, and names that."""
    made: list[str] = []

    def assemble_layers(layers: Sequence[str], parent: str | None) -> str:
        made.append(str(tmp_path / f"snapshot{len(made)}"))
        os.mkdir(made[-1])
        DirectoryDriver().assemble(layers, made[-1], parent)
        return made[-1]

    return assemble_layers


def inode(snapshot: str, path: str) -> int:
    return os.lstat(os.path.join(snapshot, "fs", path)).st_ino


def test_a_stack_is_what_its_layers_make_together(ingest: Ingest, assemble: Assemble) -> None:
    snapshot = assemble([ingest(BASE), ingest(MIDDLE), ingest(TOP)], None)

    facts = tree_facts(os.path.join(snapshot, "fs"))
    assert sorted(facts) == [".", "etc", "etc/hosts", "etc/motd", "var", "var/run"]
    assert (Path(snapshot) / "fs" / "etc" / "motd").read_bytes() == b"good bye"


def test_the_lower_is_the_one_directory() -> None:
    lowers = DirectoryDriver().lowers(["a", "b"], "/snapshot")

    assert lowers == (Directory("/snapshot/fs"),)


def test_an_image_without_layers_is_an_empty_directory(assemble: Assemble) -> None:
    snapshot = assemble([], None)

    assert list(tree_facts(os.path.join(snapshot, "fs"))) == ["."]


def test_stacks_on_a_common_base_share_what_it_gave_them(ingest: Ingest, assemble: Assemble) -> None:
    layers = [ingest(BASE), ingest(MIDDLE)]
    base = assemble(layers[:1], None)

    snapshot = assemble(layers, base)

    assert inode(snapshot, "etc/hosts") == inode(base, "etc/hosts")
    assert inode(snapshot, "etc/motd") != inode(base, "etc/motd")
    assert (Path(base) / "fs" / "etc" / "motd").read_bytes() == b"hello"


def test_a_parent_several_layers_below_shares_as_well(ingest: Ingest, assemble: Assemble) -> None:
    layers = [ingest(BASE), ingest(MIDDLE), ingest(TOP)]
    base = assemble(layers[:1], None)

    snapshot = assemble(layers, base)

    alone = assemble(layers, None)
    assert inode(snapshot, "etc/hosts") == inode(base, "etc/hosts")
    assert tree_facts(os.path.join(snapshot, "fs")) == tree_facts(os.path.join(alone, "fs"))


def test_a_layer_on_top_costs_the_disk_no_more_than_itself(ingest: Ingest, assemble: Assemble) -> None:
    large = [directory("d"), *(file(f"d/{number}", b"x" * 5000) for number in range(100))]
    layers = [ingest(large), ingest([file("one more", b"x")])]
    base = assemble(layers[:1], None)

    snapshot = assemble(layers, base)

    meter = Meter()
    meter.measure(base)
    assert meter.measure(snapshot).inodes < 10


def test_a_parent_of_other_layers_shares_nothing(ingest: Ingest, assemble: Assemble) -> None:
    other = assemble([ingest(BASE)], None)

    snapshot = assemble([ingest(BASE), ingest(MIDDLE)], other)

    assert inode(snapshot, "etc/hosts") != inode(other, "etc/hosts")


def test_an_unfinished_parent_shares_nothing_and_hinders_nothing(
    ingest: Ingest, assemble: Assemble, tmp_path: Path
) -> None:
    (tmp_path / "unfinished").mkdir()

    snapshot = assemble([ingest(BASE), ingest(MIDDLE)], str(tmp_path / "unfinished"))

    assert inode(snapshot, "etc/hosts")


def test_layers_that_do_not_fit_on_each_other_are_refused(ingest: Ingest, assemble: Assemble) -> None:
    layers = [ingest([file("etc", b"a file")]), ingest([file("etc/hosts", b"below a file")])]

    with pytest.raises(InvalidLayer, match="a parent is no directory"):
        assemble(layers, None)


def test_a_missing_layer_is_a_typed_error(assemble: Assemble, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"cannot unpack layers to .*: no such file"):
        assemble([str(tmp_path / "missing")], None)


def test_no_descriptor_stays_open(ingest: Ingest, assemble: Assemble) -> None:
    layers = [ingest(BASE), ingest(MIDDLE)]
    before = os.listdir("/proc/self/fd")

    assemble(layers, assemble(layers[:1], None))

    assert os.listdir("/proc/self/fd") == before


@pytest.mark.root
@pytest.mark.parametrize("count", [1, 65_536], ids=["one id", "many ids"])
def test_a_user_namespace_stacks_changes_and_reads_them_back(
    count: int, ingest: Ingest, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    os.rename(ingest([*BASE, file("etc/shadow", b"secret", mode=0o640, gid=42)]), home / "layer")

    def body() -> None:
        for name in ("snapshot", "upper", "work", "mounted"):
            os.mkdir(name)
        driver = DirectoryDriver()
        driver.assemble(["layer"], "snapshot", None)
        lowers = driver.lowers(["layer"], "snapshot")
        attach(MountStack(lowers, "upper", "work", userxattr=driver.needs_userxattr), "mounted")
        os.unlink("mounted/etc/hosts")
        Path("mounted/etc/new").write_text("new")
        assert Path("mounted/etc/shadow").read_bytes() == b"secret"
        detach("mounted")
        upper, lower = (os.open(name, os.O_RDONLY) for name in ("upper", "snapshot/fs"))
        changes = [(each.kind.value, each.entry.path) for each in diff(upper, lower, userxattr=True)]
        assert changes == [("C", b"etc"), ("D", b"etc/hosts"), ("A", b"etc/new")]

    in_user_namespace(home, range(1_000_000, 1_000_000 + count), body)

    gid = os.stat(home / "snapshot" / "fs" / "etc" / "shadow").st_gid
    assert gid == 1_000_000 + (0 if count == 1 else 42)


@pytest.mark.parametrize(
    ("ownership", "expected"),
    [(Ownership.EXACT, False), (Ownership.MAPPED, True), (Ownership.IGNORED, True)],
)
def test_only_root_of_the_machine_has_overlays_with_trusted_marks(
    ownership: Ownership, expected: bool
) -> None:
    assert DirectoryDriver(ownership).needs_userxattr is expected
