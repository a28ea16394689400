"""What every driver's snapshots promise: one suite, run over each driver."""

import gc
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from fixtures.images.entries import Entry, directory, file, hardlink, symlink, whiteout
from fixtures.images.layout import ImageBuilder, layer
from fixtures.memory import MemoryTarget
from fixtures.namespaces import in_mount_namespace
from layerstore.content import read_document, read_manifest
from layerstore.copy import copy
from layerstore.disk.trees import remove_tree
from layerstore.errors import Conflict, InvalidLayer, NotFound
from layerstore.oci.config import ImageConfig
from layerstore.oci.digest import Digest
from layerstore.oci.manifest import Manifest
from layerstore.oci.platform import Platform
from layerstore.snapshot import overlay
from layerstore.snapshot.directory import DirectoryDriver
from layerstore.snapshot.driver import Driver
from layerstore.snapshot.erofs import ErofsDriver
from layerstore.snapshot.snapshotter import Snapshotter
from layerstore.snapshot.stacked import StackingDriver
from layerstore.snapshot.unpack import unpack_layers
from layerstore.store.forms import FORMS
from layerstore.store.store import Store, keep_packed, open_store

pytestmark = pytest.mark.root

BASE = (replace(directory("."), mode=0o750, uid=7, gid=8), file("kept", b"old"), file("gone", b"x"))
TOP = (file("kept", b"new"), whiteout("gone"), symlink("link", "kept"), hardlink("twin", "kept"))

Stack = tuple[Digest, ...]
Add = Callable[..., Stack]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"), Platform("linux", "amd64"))


@pytest.fixture(params=[ErofsDriver, DirectoryDriver, StackingDriver], ids=["erofs", "directory", "stacked"])
def driver(request: pytest.FixtureRequest) -> Driver:
    made: Driver = request.param()
    return made


@pytest.fixture
def snapshotter(store: Store, driver: Driver) -> Snapshotter:
    return Snapshotter(store, driver)


@pytest.fixture
def add(store: Store, snapshotter: Snapshotter) -> Add:
    """add(layers, is_unpacked=…): an image of these layers is in the store and its snapshot committed."""

    def add_image(layers: Sequence[Sequence[Entry]], *, is_unpacked: bool = True) -> Stack:
        builder = ImageBuilder()
        root = builder.add_image([layer(entries) for entries in layers])
        source = MemoryTarget()
        source.blobs = builder.blobs
        with store.transaction(unpack_layers if is_unpacked else keep_packed) as transaction:
            copy(source, transaction, root)
            transaction.commit()
        manifest = read_manifest(store.blobs, root)
        assert isinstance(manifest, Manifest)
        config = ImageConfig.parse(read_document(store.blobs, manifest.config))
        for diff_id in filter(store.layers.has, config.diff_ids):
            Path(
                store.layers.path(diff_id), FORMS
            ).touch()  # as if we had made it: or nothing would be stacked
        snapshotter.ensure(manifest, config)
        return config.diff_ids

    return add_image


def mounted(snapshotter: Snapshotter, stack: Stack, tmp_path: Path, body: Callable[[Path], None]) -> None:
    """Run `body` on a read-only view of `stack`, mounted where only it can see it."""
    target = tmp_path / "view"
    target.mkdir(exist_ok=True)

    def look() -> None:
        overlay.attach(snapshotter.view(stack), str(target))
        body(target)

    in_mount_namespace(look)


def test_a_view_shows_what_the_layers_make_together(
    snapshotter: Snapshotter, add: Add, tmp_path: Path
) -> None:
    stack = add([BASE, TOP])

    def look(root: Path) -> None:
        assert sorted(os.listdir(root)) == ["kept", "link", "twin"]
        assert (root / "link").read_bytes() == b"new"
        assert (root / "twin").stat().st_ino == (root / "kept").stat().st_ino
        with pytest.raises(OSError, match="Read-only"):
            (root / "new").touch()

    mounted(snapshotter, stack, tmp_path, look)


@pytest.mark.parametrize("is_on", [True, False], ids=["on", "off"])
@pytest.mark.parametrize("top", [TOP, (hardlink("a", "nothing"),)], ids=["good", "bad"])
def test_the_collector_of_whoever_uses_us_is_left_as_it_was(
    add: Add, top: Sequence[Entry], is_on: bool
) -> None:
    change: Callable[[], None] = gc.enable if is_on else gc.disable
    change()
    try:
        with suppress(InvalidLayer):
            add([BASE, top])

        assert gc.isenabled() is is_on
    finally:
        gc.enable()


def test_layers_that_were_kept_packed_are_unpacked_when_needed(
    snapshotter: Snapshotter, add: Add, tmp_path: Path
) -> None:
    stack = add([BASE], is_unpacked=False)

    assert snapshotter.has(stack)
    mounted(snapshotter, stack, tmp_path, lambda root: assert_content(root / "kept", b"old"))


def assert_content(path: Path, data: bytes) -> None:
    assert path.read_bytes() == data


def test_a_lowest_layer_that_hides_something_shows_no_marks(
    snapshotter: Snapshotter, add: Add, tmp_path: Path
) -> None:
    stack = add([(file("kept"), whiteout("absent"))])

    mounted(snapshotter, stack, tmp_path, lambda root: assert_names(root, ["kept"]))


def assert_names(root: Path, names: list[str]) -> None:
    assert sorted(os.listdir(root)) == names


def test_a_hardlink_to_nothing_is_refused(add: Add) -> None:
    with pytest.raises(InvalidLayer):
        add([(hardlink("twin", "absent"),)])


def test_an_active_snapshot_takes_changes_and_keeps_the_root_s_attributes(
    snapshotter: Snapshotter, add: Add, tmp_path: Path
) -> None:
    stack = add([BASE])
    target = tmp_path / "active"
    target.mkdir()
    mounts = snapshotter.prepare("mine", stack)

    def change() -> None:
        overlay.attach(mounts, str(target))
        status = target.stat()
        assert (status.st_mode & 0o7777, status.st_uid, status.st_gid) == (0o750, 7, 8)
        (target / "kept").write_bytes(b"changed")

    in_mount_namespace(change)

    assert mounts.upper is not None
    assert Path(mounts.upper, "kept").read_bytes() == b"changed"
    mounted(snapshotter, stack, tmp_path, lambda root: assert_content(root / "kept", b"old"))


def test_keys_are_unique_until_they_are_removed(snapshotter: Snapshotter, add: Add) -> None:
    stack = add([BASE])
    snapshotter.prepare("mine", stack)

    with pytest.raises(Conflict):
        snapshotter.prepare("mine", stack)
    snapshotter.remove("mine")
    snapshotter.remove("mine")
    snapshotter.prepare("mine", stack)

    assert snapshotter.active() == ("mine",)


@pytest.mark.parametrize("key", ["", "..", "a/b", ".hidden"])
def test_keys_name_no_other_place(snapshotter: Snapshotter, key: str) -> None:
    with pytest.raises(NotFound):
        snapshotter.mounts(key)


def test_an_active_snapshot_holds_its_stack(snapshotter: Snapshotter, add: Add) -> None:
    held, other = add([BASE]), add([BASE, TOP])
    snapshotter.prepare("mine", held)

    unneeded = snapshotter.unneeded(snapshotter.held_stacks())

    assert snapshotter.held_stacks() == {held}
    assert len(unneeded) == 1
    assert snapshotter.has(other)


def test_a_snapshot_whose_layer_was_lost_is_made_whole_again(
    snapshotter: Snapshotter, add: Add, store: Store
) -> None:
    stack = add([BASE, TOP])
    remove_tree(store.layers.path(stack[1]))

    assert not snapshotter.has(stack)
    assert add([BASE, TOP]) == stack

    assert snapshotter.has(stack)


def test_five_hundred_layers_are_one_stack(snapshotter: Snapshotter, add: Add, tmp_path: Path) -> None:
    stack = add([(file(f"f{number}"),) for number in range(501)])

    mounted(snapshotter, stack, tmp_path, lambda root: assert_count(root, 501))


def assert_count(root: Path, count: int) -> None:
    assert len(os.listdir(root)) == count
