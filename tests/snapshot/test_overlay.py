"""`layerstore.snapshot.overlay`: every kernel's way of mounting gives the same tree, and leaves the same nothing."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.namespaces import in_mount_namespace
from layerstore import linux
from layerstore.errors import LimitExceeded, StorageError, UsageError
from layerstore.mount import Directory, ErofsImage, MountStack
from layerstore.snapshot.overlay import MAX_LOWERS, Probe, attach, detach, mount_erofs
from lstore.engine.user_namespace import opened_user_namespace
from runner.namespaces import Extent, IdMap

BY_DESCRIPTOR = Probe(erofs_from_files=True, lowers="by-descriptor")
APPENDED = Probe(erofs_from_files=True, lowers="appended")
APPENDED_LOOP = Probe(erofs_from_files=False, lowers="appended")
JOINED_LOOP = Probe(erofs_from_files=False, lowers="joined")
ALL_WAYS = [BY_DESCRIPTOR, APPENDED, APPENDED_LOOP, JOINED_LOOP]
# A kernel can do what an older one needs, never what a newer one can.
WAYS = ALL_WAYS[ALL_WAYS.index(Probe.of_release(os.uname().release)) :]


def test_of_release_names_the_way_of_each_kernel() -> None:
    ways = [Probe.of_release(name) for name in ("6.18.44-x", "6.15", "6.12.9-cloud", "6.7.0", "6.1.0-18")]

    assert ways == [BY_DESCRIPTOR, *ALL_WAYS]


def test_an_empty_stack_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="empty stack"):
        attach(MountStack(()), str(tmp_path))


def test_more_lowers_than_the_kernel_takes_are_refused_by_name(tmp_path: Path) -> None:
    stack = MountStack((Directory(str(tmp_path)),) * (MAX_LOWERS + 1))

    with pytest.raises(LimitExceeded, match="501 layers: overlayfs takes 500"):
        attach(stack, str(tmp_path))


def mounts_below(path: Path) -> list[str]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line for line in lines if str(path) in line.split()[4]]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    root = tmp_path / "base"
    (root / "bin").mkdir(parents=True)
    (root / "bin" / "tool").write_bytes(b"#!base" * 3000)
    (root / "etc").mkdir()
    (root / "etc" / "name").write_text("base")
    return root


@pytest.fixture
def top(tmp_path: Path) -> Path:
    root = tmp_path / "top, with: a comma"
    (root / "etc").mkdir(parents=True)
    (root / "etc" / "name").write_text("top")
    return root


@pytest.fixture
def image(tmp_path: Path, base: Path) -> ErofsImage:
    """`base` as an EROFS index with its file contents in a second file."""
    index, data = tmp_path / "index", tmp_path / "data"
    command = ["mkfs.erofs", "--chunksize=4096", f"--blobdev={data}", str(index), str(base)]
    subprocess.run(command, check=True, capture_output=True)
    return ErofsImage(str(index), (str(data),))


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "mnt").mkdir()
    return tmp_path / "mnt"


@pytest.fixture
def writable(tmp_path: Path) -> tuple[str, str]:
    for name in ("upper", "work"):
        (tmp_path / name).mkdir()
    return str(tmp_path / "upper"), str(tmp_path / "work")


@pytest.mark.root
@pytest.mark.package("erofs-utils")
@pytest.mark.parametrize("probe", WAYS, ids=lambda probe: f"{probe.lowers}-{probe.erofs_from_files}")
def test_every_way_stacks_image_and_directory_and_keeps_changes_apart(
    probe: Probe, image: ErofsImage, top: Path, target: Path, writable: tuple[str, str]
) -> None:
    stack = MountStack((Directory(str(top)), image), *writable)
    here = os.getcwd()

    def body() -> None:
        attach(stack, str(target), probe=probe)
        assert (target / "etc" / "name").read_text() == "top"
        assert (target / "bin" / "tool").read_bytes() == b"#!base" * 3000
        (target / "etc" / "name").write_text("changed")
        (target / "bin" / "tool").unlink()
        assert len(mounts_below(target)) == 1
        assert os.getcwd() == here
        detach(str(target))
        assert mounts_below(target) == []

    in_mount_namespace(body)

    assert (Path(writable[0]) / "etc" / "name").read_text() == "changed"
    assert (top / "etc" / "name").read_text() == "top"
    assert list(target.iterdir()) == []


@pytest.mark.root
@pytest.mark.parametrize("probe", WAYS, ids=lambda probe: f"{probe.lowers}-{probe.erofs_from_files}")
@pytest.mark.parametrize("is_volatile", [True, False])
def test_only_a_volatile_stack_syncs_nothing(
    is_volatile: bool, probe: Probe, base: Path, target: Path, writable: tuple[str, str]
) -> None:
    stack = MountStack((Directory(str(base)),), *writable, is_volatile=is_volatile)

    def body() -> None:
        attach(stack, str(target), probe=probe)
        (mount,) = mounts_below(target)
        assert mount.endswith("volatile") == is_volatile  # "volatile", in newer kernels "fsync=volatile"

    in_mount_namespace(body)


@pytest.mark.root
@pytest.mark.parametrize("probe", WAYS, ids=lambda probe: f"{probe.lowers}-{probe.erofs_from_files}")
def test_a_view_of_several_directories_is_read_only(
    probe: Probe, base: Path, top: Path, target: Path
) -> None:
    stack = MountStack((Directory(str(top)), Directory(str(base))))

    def body() -> None:
        attach(stack, str(target), probe=probe)
        assert (target / "etc" / "name").read_text() == "top"
        with pytest.raises(OSError, match="Read-only"):
            (target / "new").write_text("")

    in_mount_namespace(body)


@pytest.mark.root
@pytest.mark.parametrize("probe", WAYS, ids=lambda probe: f"{probe.lowers}-{probe.erofs_from_files}")
def test_the_most_lowers_that_the_kernel_takes_all_appear(
    probe: Probe, tmp_path: Path, target: Path, writable: tuple[str, str]
) -> None:
    layers = [tmp_path / f"a-layer-whose-name-is-not-short-{number}" for number in range(MAX_LOWERS)]
    for number, layer in enumerate(layers):
        layer.mkdir()
        (layer / f"file{number}").write_text("")
    stack = MountStack(tuple(Directory(str(layer)) for layer in layers), *writable)

    def body() -> None:
        attach(stack, str(target), probe=probe)
        assert len(list(target.iterdir())) == MAX_LOWERS

    in_mount_namespace(body)


@pytest.mark.root
def test_a_single_directory_is_bound_read_only_and_itself_stays_writable(base: Path, target: Path) -> None:
    def body() -> None:
        attach(MountStack((Directory(str(base)),)), str(target))
        with pytest.raises(OSError, match="Read-only"):
            (target / "new").write_text("")
        (base / "new").write_text("")
        assert (target / "new").exists()

    in_mount_namespace(body)


@pytest.mark.root
def test_a_stack_without_lowers_is_its_upper_directory(target: Path, writable: tuple[str, str]) -> None:
    def body() -> None:
        attach(MountStack((), *writable), str(target))
        (target / "new").write_text("x")

    in_mount_namespace(body)

    assert (Path(writable[0]) / "new").read_text() == "x"


@pytest.mark.root
@pytest.mark.package("erofs-utils")
@pytest.mark.parametrize("from_files", sorted({way.erofs_from_files for way in WAYS}))
def test_an_image_alone_mounts_from_paths_of_any_length(
    from_files: bool, image: ErofsImage, tmp_path: Path, target: Path
) -> None:
    deep = tmp_path / ("d" * 200) / ("e" * 200)
    deep.mkdir(parents=True)
    moved = ErofsImage(str(deep / "index"), (str(deep / "data"),))
    os.rename(image.index, moved.index)
    os.rename(image.devices[0], moved.devices[0])

    def body() -> None:
        fd = mount_erofs(moved, from_files=from_files)
        linux.move_mount(fd, "", linux.AT_FDCWD, str(target), linux.MOVE_MOUNT_F_EMPTY_PATH)
        os.close(fd)
        assert (target / "etc" / "name").read_text() == "base"

    in_mount_namespace(body)


@pytest.mark.root
@pytest.mark.package("erofs-utils")
@pytest.mark.parametrize("probe", WAYS, ids=lambda probe: f"{probe.lowers}-{probe.erofs_from_files}")
def test_a_failure_is_typed_and_leaves_nothing_mounted(
    probe: Probe, image: ErofsImage, top: Path, target: Path, writable: tuple[str, str]
) -> None:
    stack = MountStack((Directory(str(top)), image, Directory("/does/not/exist")), *writable)

    def body() -> None:
        with pytest.raises(StorageError, match=f"cannot mount an image at {target}: .*no such file"):
            attach(stack, str(target), probe=probe)
        assert mounts_below(target) == []
        assert not [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if "erofs" in line]

    in_mount_namespace(body)

    assert list(target.iterdir()) == []


@pytest.mark.root
@pytest.mark.package("erofs-utils")
def test_no_descriptor_stays_open(
    image: ErofsImage, top: Path, target: Path, writable: tuple[str, str]
) -> None:
    def body() -> None:
        for probe in WAYS:
            before = os.listdir("/proc/self/fd")
            attach(MountStack((Directory(str(top)), image), *writable), str(target), probe=probe)
            detach(str(target))
            assert os.listdir("/proc/self/fd") == before

    in_mount_namespace(body)


@pytest.mark.root
def test_detaching_what_is_not_mounted_is_a_typed_error(target: Path) -> None:
    with pytest.raises(StorageError, match="cannot unmount"):
        detach(str(target))


@pytest.fixture
def shifted() -> Iterator[int]:
    """A user namespace in which the id 0 is 100000 outside."""
    with opened_user_namespace(IdMap((Extent(0, 100_000, 1000),), (Extent(0, 200_000, 1000),))) as users:
        yield users


@pytest.mark.root
@pytest.mark.parametrize("probe", WAYS)
def test_lowers_are_seen_with_the_ids_of_a_user_namespace(
    base: Path, top: Path, shifted: int, tmp_path: Path, probe: Probe
) -> None:
    target = tmp_path / "target"
    target.mkdir()
    os.chown(base / "bin" / "tool", 5, 6)

    def body() -> None:
        attach(
            MountStack((Directory(str(top)), Directory(str(base)))), str(target), probe=probe, users=shifted
        )

        seen = [os.stat(target / name) for name in ("bin", "bin/tool")]
        assert [(status.st_uid, status.st_gid) for status in seen] == [(100_000, 200_000), (100_005, 200_006)]

    in_mount_namespace(body)


@pytest.mark.root
def test_attributes_hold_from_the_start(base: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()

    def body() -> None:
        attach(MountStack((Directory(str(base)),)), str(target), attributes=linux.MOUNT_ATTR_NOSUID)

        assert os.statvfs(target).f_flag & os.ST_NOSUID
        assert os.statvfs(target).f_flag & os.ST_RDONLY

    in_mount_namespace(body)
