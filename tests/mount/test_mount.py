"""`lstore.engine.mount`: what is mounted is the image, can do no harm, and is held until it is gone."""

import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fixtures.namespaces import in_mount_namespace
from layerstore.disk.trees import remove_tree
from layerstore.errors import Conflict, LstoreError, NotFound
from layerstore.oci.digest import Digest
from layerstore.snapshot.views import View, open_views
from lstore.engine.collect import collect
from lstore.engine.engine import Engine
from lstore.engine.fsck import fsck
from lstore.engine.mount import MountRequest, list_mounts, mount, unmount, unmount_all
from lstore.engine.prune import PruneRequest, prune
from lstore.engine.remove import remove_images
from runner.namespaces import Extent, IdMap

pytestmark = pytest.mark.root

NOW = datetime(2030, 1, 1, tzinfo=UTC)
LOOKED = MountRequest("looked:1")


def layers_of(engine: Engine) -> list[str]:
    return sorted(map(str, engine.store.layers.names()))


def names_below(path: Path) -> list[str]:
    return sorted(str(each.relative_to(path)) for each in path.rglob("*"))


def test_a_view_shows_the_image_and_takes_no_change(engine: Engine, target: Path) -> None:
    def body() -> None:
        view = mount(engine, MountRequest("looked:1", str(target)))

        assert view.target == str(target)
        assert names_below(target) == ["etc", "etc/name", "null", "of-1000", "su"]
        assert (target / "etc/name").read_bytes() == b"upper"
        with pytest.raises(OSError, match="Read-only"):
            (target / "new").touch()

    in_mount_namespace(body)


def test_a_view_gives_its_programs_and_devices_no_power(engine: Engine, target: Path) -> None:
    def body() -> None:
        mount(engine, MountRequest("looked:1", str(target)))

        assert os.statvfs(target).f_flag & os.ST_NOSUID
        with pytest.raises(PermissionError):
            (target / "null").read_bytes()

    in_mount_namespace(body)


def test_without_a_directory_one_is_made_and_goes_again(engine: Engine) -> None:
    def body() -> None:
        view = mount(engine, LOOKED)

        assert view.target.startswith(f"{engine.root}/mounts/")
        assert (Path(view.target) / "etc/name").read_bytes() == b"upper"
        assert unmount(engine, view.target) == view
        assert os.listdir(f"{engine.root}/mounts") == []

    in_mount_namespace(body)


def test_what_is_mounted_is_listed_and_unmounted_by_place_name_or_id(engine: Engine, target: Path) -> None:
    def body() -> None:
        for word in ("place", "name", "id"):
            view = mount(engine, MountRequest("looked:1", str(target)))
            assert list_mounts(engine) == (view,)
            words = {"place": str(target), "name": "looked:1", "id": view.id.partition(":")[2][:12]}

            unmount(engine, words[word])

            assert list_mounts(engine) == ()
            assert names_below(target) == []

    in_mount_namespace(body)


def test_a_name_that_is_mounted_twice_is_not_unmounted_by_chance(engine: Engine, target: Path) -> None:
    def body() -> None:
        both = {mount(engine, MountRequest("looked:1", str(target))), mount(engine, LOOKED)}

        with pytest.raises(Conflict, match="is mounted at"):
            unmount(engine, "looked:1")

        assert set(unmount_all(engine)) == both
        assert list_mounts(engine) == ()

    in_mount_namespace(body)


def test_what_is_mounted_survives_removal_and_prune_until_it_is_unmounted(
    engine: Engine, target: Path
) -> None:
    def body() -> None:
        mount(engine, MountRequest("looked:1", str(target)))
        before = layers_of(engine)

        prune(engine, PruneRequest(all_unused=True), NOW, with_ingests=True)
        assert [ref.name is not None for ref in engine.store.refs.read().refs] == [True]
        remove_images(engine.store, engine.snapshotter, ["looked:1"])
        collect(engine.store, engine.snapshotter, with_ingests=True)

        assert layers_of(engine) == before
        assert (target / "etc/name").read_bytes() == b"upper"
        assert fsck(engine).is_clean
        unmount(engine, str(target))
        collect(engine.store, engine.snapshotter)
        assert layers_of(engine) == []
        assert os.listdir(f"{engine.root}/snapshots/{engine.driver}") == []

    in_mount_namespace(body)


def test_a_view_that_somebody_else_unmounted_holds_nothing(engine: Engine, target: Path) -> None:
    def body() -> None:
        mount(engine, MountRequest("looked:1", str(target)))
        subprocess.run(["umount", target], check=True)

        assert list_mounts(engine) == ()
        with pytest.raises(NotFound, match="nothing of lstore is mounted"):
            unmount(engine, str(target))
        remove_images(engine.store, engine.snapshotter, ["looked:1"])

        assert layers_of(engine) == []
        assert os.listdir(f"{engine.root}/mounts") == []

    in_mount_namespace(body)


def test_a_view_in_a_namespace_that_ended_holds_nothing(engine: Engine, target: Path) -> None:
    in_mount_namespace(lambda: note(mount(engine, MountRequest("looked:1", str(target)))))

    remove_images(engine.store, engine.snapshotter, ["looked:1"])

    assert list_mounts(engine) == ()
    assert layers_of(engine) == []
    assert os.listdir(f"{engine.root}/mounts") == []


def note(view: View) -> None:
    assert view.mount


def test_a_view_in_another_namespace_is_held_and_left_alone(engine: Engine, target: Path) -> None:
    def body() -> None:
        view = mount(engine, MountRequest("looked:1", str(target)))

        def elsewhere() -> None:
            subprocess.run(["umount", target], check=True)  # here alone: the other namespace keeps it
            remove_images(engine.store, engine.snapshotter, ["looked:1"])
            assert list_mounts(engine) == (view,)
            with pytest.raises(Conflict, match="in another mount namespace"):
                unmount(engine, str(target))

        in_mount_namespace(elsewhere)

        assert (target / "etc/name").read_bytes() == b"upper"
        assert len(layers_of(engine)) == 2

    in_mount_namespace(body)


def test_another_mount_at_the_same_place_is_not_taken_for_the_view(engine: Engine, target: Path) -> None:
    def body() -> None:
        mount(engine, MountRequest("looked:1", str(target)))
        subprocess.run(["umount", target], check=True)
        subprocess.run(["mount", "-t", "tmpfs", "none", target], check=True)

        assert list_mounts(engine) == ()
        with pytest.raises(NotFound):
            unmount(engine, str(target))
        assert os.path.ismount(target)

    in_mount_namespace(body)


def test_a_record_of_another_run_of_the_machine_holds_nothing(engine: Engine, target: Path) -> None:
    def body() -> None:
        view = mount(engine, MountRequest("looked:1", str(target)))
        path = Path(engine.root, "mounts", view.key, "view")
        path.write_bytes(path.read_bytes().replace(view.boot.encode(), b"an-earlier-boot"))

        assert open_views(engine.store.layout).mounted() == ()

    in_mount_namespace(body)


@pytest.mark.parametrize("record", [b"", b"{}", b"[" * 100_000, b'{"name": 1}', b"\xff"])
def test_a_damaged_record_is_removed_and_harms_nothing(engine: Engine, record: bytes) -> None:
    home = Path(engine.root, "mounts", "0123")
    home.mkdir(parents=True)
    (home / "view").write_bytes(record)

    assert list_mounts(engine) == ()
    collect(engine.store, engine.snapshotter)

    assert not home.exists()


def test_a_view_in_use_is_not_unmounted(engine: Engine, target: Path) -> None:
    def body() -> None:
        mount(engine, MountRequest("looked:1", str(target)))
        with (target / "etc/name").open("rb"), pytest.raises(Conflict, match="in use") as caught:
            unmount(engine, str(target))

        assert caught.value.hint == f"fuser -vm {target}"
        assert len(list_mounts(engine)) == 1

    in_mount_namespace(body)


def test_nothing_is_mounted_over_another_mount(engine: Engine, target: Path) -> None:
    def body() -> None:
        mount(engine, MountRequest("looked:1", str(target)))

        with pytest.raises(Conflict, match="something is mounted there"):
            mount(engine, MountRequest("looked:1", str(target)))

        assert len(list_mounts(engine)) == 1

    in_mount_namespace(body)


@pytest.mark.parametrize("request_", [MountRequest("absent:1"), MountRequest("looked:1", "/no/such/place")])
def test_what_is_not_there_is_not_mounted(engine: Engine, request_: MountRequest) -> None:
    with pytest.raises(NotFound):
        mount(engine, request_)

    assert list_mounts(engine) == ()


def test_a_mount_that_fails_leaves_no_record(engine: Engine, target: Path) -> None:
    with pytest.raises(LstoreError):
        mount(engine, MountRequest("looked:1", str(target), ids=IdMap((Extent(0, 0, 0),), ())))

    assert not Path(engine.root, "mounts").exists()


def test_a_view_shows_other_owners_where_ids_are_mapped(engine: Engine, target: Path) -> None:
    ids = IdMap((Extent(0, 100_000, 65536),), (Extent(0, 200_000, 65536),))

    def body() -> None:
        mount(engine, MountRequest("looked:1", str(target), ids=ids))

        seen = os.stat(target / "of-1000")
        assert (seen.st_uid, seen.st_gid) == (101_000, 201_000)
        assert os.stat(target / "etc").st_uid == 100_000

    in_mount_namespace(body)


def test_a_containers_view_shows_what_it_wrote_and_what_it_removed(engine: Engine, target: Path) -> None:
    stack = diff_ids_of(engine)
    key = "c0ffee" * 10 + "0123"
    writable = engine.snapshotter.prepare(key, stack)
    Path(writable.upper or "", "written").write_text("by the container")
    os.mknod(Path(writable.upper or "", "su"), 0o20000, 0)

    def body() -> None:
        view = mount(engine, MountRequest("c0ffee", str(target)))

        assert (view.id, view.diff_ids) == (key, stack)
        assert names_below(target) == ["etc", "etc/name", "null", "of-1000", "written"]
        with pytest.raises(OSError, match="Read-only"):
            (target / "new").touch()

    in_mount_namespace(body)


def diff_ids_of(engine: Engine) -> tuple[Digest, ...]:
    (found,) = (stack for stack in closure_stacks(engine))
    return found


def closure_stacks(engine: Engine) -> frozenset[tuple[Digest, ...]]:
    from layerstore.store.gc import mark

    with engine.store.locked():
        return mark(engine.store).stacks


def test_removal_of_the_store_reaches_nothing_through_a_view(engine: Engine) -> None:
    def body() -> None:
        view = mount(engine, LOOKED)

        with pytest.raises(OSError):
            remove_tree(f"{engine.root}/mounts/{view.key}")

        assert (Path(view.target) / "etc/name").read_bytes() == b"upper"

    in_mount_namespace(body)
