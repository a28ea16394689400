"""Uncompressed layers: published at once, sealed later, suspects after a crash of the machine."""

import os
from pathlib import Path

import pytest

from fixtures.crash.scenarios import verify
from layerstore.oci.digest import Digest
from layerstore.store.layers import Layers, read_boot_id
from layerstore.store.store import Store

LAYER = Digest.of(b"layer")
LATER = 4_000_000_000.0
"""A moment in 2096: however long the tests take, layers made by them are old by then."""


@pytest.fixture
def layers(store: Store) -> Layers:
    """The layers of a store, in the run of the machine called "first"."""
    return Layers(store.layout, "first")


def stage(store: Store, data: bytes = b"layer") -> str:
    path = Path(store.layout.ingests, f"staged-{os.urandom(4).hex()}")
    path.mkdir()
    (path / "tar").write_bytes(data)
    return str(path)


def after_reboot(store: Store) -> Layers:
    return Layers(store.layout, "second")


def test_a_published_layer_is_there_for_the_rest_of_this_run(store: Store, layers: Layers) -> None:
    layers.publish({LAYER: stage(store)})

    assert layers.has(LAYER)
    assert layers.names() == (LAYER,)
    assert layers.suspects() == frozenset()


def test_a_layer_is_a_suspect_after_a_crash_of_the_machine(store: Store, layers: Layers) -> None:
    layers.publish({LAYER: stage(store)})

    assert not after_reboot(store).has(LAYER)
    assert after_reboot(store).suspects() == {LAYER}


def test_a_suspect_that_holds_is_no_suspect_any_more(store: Store, layers: Layers) -> None:
    layers.publish({LAYER: stage(store)})
    second = after_reboot(store)
    assert not second.has(LAYER)

    assert second.examine(verify) == ()

    assert second.has(LAYER)
    assert after_reboot(store).has(LAYER)


def test_a_suspect_that_was_cut_short_is_removed(store: Store, layers: Layers) -> None:
    layers.publish({LAYER: stage(store, b"lay")})
    second = after_reboot(store)

    assert second.examine(verify) == (LAYER,)

    assert second.names() == ()
    assert os.listdir(store.layout.layers) == []


def test_a_layer_that_was_synced_is_no_suspect_after_a_crash(store: Store, layers: Layers) -> None:
    layers.publish({LAYER: stage(store)})

    layers.publish({}, layers.sync_old(now=LATER))

    assert after_reboot(store).has(LAYER)


def test_a_young_layer_is_left_to_the_kernel_for_now(store: Store, layers: Layers) -> None:
    layers.publish({LAYER: stage(store)})

    assert layers.sync_old() == {}


def test_a_layer_that_came_anew_after_the_sync_stays_unsealed(store: Store, layers: Layers) -> None:
    layers.publish({LAYER: stage(store)})
    synced = layers.sync_old(now=LATER)
    layers.remove([LAYER])
    layers.publish({LAYER: stage(store)})

    layers.publish({}, synced)

    assert after_reboot(store).suspects() == {LAYER}


def test_a_layer_that_is_gone_leaves_the_list(store: Store, layers: Layers) -> None:
    layers.publish({LAYER: stage(store)})
    layers.remove([LAYER])

    layers.publish({}, layers.sync_old())

    assert os.listdir(store.layout.layers) == []


def test_a_layer_that_is_there_already_is_not_replaced(store: Store, layers: Layers) -> None:
    layers.publish({LAYER: stage(store)})
    before = os.stat(layers.path(LAYER)).st_ino

    layers.publish({LAYER: stage(store, b"other")})

    assert os.stat(layers.path(LAYER)).st_ino == before


def test_a_layer_that_another_process_published_is_passed_over(store: Store, layers: Layers) -> None:
    layers.publish({LAYER: os.path.join(store.layout.ingests, "gone")})

    assert layers.names() == ()


def test_removing_what_is_not_there_does_nothing(layers: Layers) -> None:
    layers.remove([LAYER])

    assert layers.names() == ()


def test_a_kernel_that_does_not_name_its_run_gets_a_new_name_each_time(tmp_path: Path) -> None:
    missing = str(tmp_path / "boot_id")

    assert read_boot_id(missing) != read_boot_id(missing)
    assert read_boot_id() == read_boot_id()
