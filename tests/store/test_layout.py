"""A store's root: made once, by however many at once, readable by any OCI tool and by whoever may only read."""

import json
import multiprocessing
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from fixtures import schemas
from fixtures.crash.scenarios import keep_tars, open_at
from fixtures.images.layout import ARM64
from fixtures.memory import MemoryTarget
from fixtures.store import add_image, add_index, contents, store_image
from layerstore.content import read_document
from layerstore.disk.trees import remove_tree
from layerstore.errors import StorageError, StoreDamaged
from layerstore.oci import mediatype
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.digest import Digest
from layerstore.store.layout import Layout
from layerstore.store.store import Store

NOBODY = 65534


def test_opening_a_store_again_changes_nothing(store: Store) -> None:
    before = contents(store.layout.root)

    open_at(store.layout.root)

    assert contents(store.layout.root) == before


def test_a_store_of_another_format_is_refused(store: Store) -> None:
    Path(store.layout.root, "format").write_bytes(b"2\n")

    with pytest.raises(StoreDamaged, match="format"):
        open_at(store.layout.root)


def test_a_store_whose_making_broke_off_keeps_what_it_has(store: Store) -> None:
    source = MemoryTarget()
    root = add_image(source, [b"one"])
    store_image(store, source, root, "one")
    Path(store.layout.root, "format").unlink()

    again = open_at(store.layout.root)

    assert again.blobs.resolve("one") == root


def test_the_mode_of_a_directory_that_was_there_is_left_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o750)

    open_at(str(tmp_path))

    assert tmp_path.stat().st_mode & 0o777 == 0o750


def test_local_users_get_at_no_files_of_images(store: Store) -> None:
    for path in (store.layout.layers, store.layout.ingests, store.layout.leases):
        assert os.stat(path).st_mode & 0o077 == 0


def test_a_root_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(StorageError, match="cannot make a store"):
        open_at(str(tmp_path / "file" / "store"))


def _fill(root: str, number: int) -> None:
    source = MemoryTarget()
    image = add_image(source, [b"base", b"%d" % number])
    store_image(open_at(root), source, image, f"image{number}", keep_tars)


def test_processes_that_make_a_store_and_fill_it_at_once_lose_nothing(tmp_path: Path) -> None:
    root = str(tmp_path / "store")
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=partial(_fill, root, number)) for number in range(4)]

    for process in processes:
        process.start()
    for process in processes:
        process.join()

    assert [process.exitcode for process in processes] == [0] * 4
    names = [ref.name.familiar_name for ref in open_at(root).refs.read().refs if ref.name is not None]
    assert sorted(names) == [f"image{number}" for number in range(4)]


def test_blobs_of_other_algorithms_have_their_place(store: Store) -> None:
    data = b"long digest"
    descriptor = Descriptor(mediatype.OCI_LAYER, Digest.of(data, "sha512"), len(data))
    source = MemoryTarget()
    source.put(descriptor, data)

    with store.transaction() as transaction:
        transaction.push(descriptor, partial(source.fetch, descriptor))
        transaction.commit()

    assert read_document(store.blobs, descriptor) == data


def fill(store: Store) -> Descriptor:
    source = MemoryTarget()
    image = add_image(source, [b"one"])
    other = add_image(source, [b"two"], platform=ARM64)
    store_image(store, source, image, "debian", keep_tars)
    store_image(store, source, other, "debian", keep_tars)
    store_image(store, source, add_index(source, [image, other]), "example.com/team/app:v1", keep_tars)
    return image


@pytest.mark.package(schemas.PACKAGE)
def test_the_content_store_obeys_the_schemas_of_an_image_layout(store: Store) -> None:
    fill(store)

    schemas.validate_layout(Path(store.layout.content))


@pytest.mark.package("skopeo")
def test_skopeo_reads_an_image_in_place(store: Store) -> None:
    image = fill(store)
    store.update_refs(lambda table: table.without(lambda ref: ref.platform == ARM64))

    said = subprocess.run(
        ["skopeo", "inspect", f"oci:{store.layout.content}:debian"], capture_output=True, check=True
    ).stdout

    assert json.loads(said)["Digest"] == str(image.digest)


_READ_ONLY = """
import sys
from fixtures.crash.scenarios import damages, open_at
store = open_at(sys.argv[1])
with store.holding(store.blobs.resolve("debian")) as _:
    assert store.blobs.has_graph(store.blobs.resolve("debian"))
store.blobs.touch(store.blobs.resolve("debian"))
print(len(store.refs.read().refs), damages(store))
"""


@pytest.mark.root
def test_a_store_on_a_read_only_file_system_can_be_read_and_checked(store: Store) -> None:
    fill(store)
    script = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && exec "$2" -c "$3" "$1"'
    command = ["unshare", "--mount", "sh", "-c", script, "sh", store.layout.root, sys.executable, _READ_ONLY]

    result = subprocess.run(command, capture_output=True, text=True)

    assert (result.stdout, result.returncode) == ("3 ()\n", 0), result.stderr


@pytest.mark.root
def test_an_ordinary_user_can_read_the_images_of_roots_store_and_gets_one_clear_error_for_more() -> None:
    root = Path("/var/tmp") / f"lstore-test-{os.urandom(6).hex()}"  # tmp_path is root's own
    image = fill(open_at(str(root)))
    os.seteuid(NOBODY)
    try:
        store = open_at(str(root))

        assert store.blobs.resolve("debian") == image
        with store.holding(image):
            assert store.blobs.has_graph(image)
        for change in (store.transaction, store.locked().__enter__):
            with pytest.raises(StorageError) as caught:
                change()
            assert caught.value.hint == "run as root, or choose another store with --root DIR"
    finally:
        os.seteuid(0)
        remove_tree(str(root))


def test_paths_are_those_of_an_image_layout(tmp_path: Path) -> None:
    layout = Layout("/root")

    assert layout.blob(Digest("sha256", "0" * 64)) == f"/root/content/blobs/sha256/{'0' * 64}"
