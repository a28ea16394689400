"""fsck names each damage once, finds none in a healthy store, and repair mends what can be mended."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fixtures.crash.scenarios import keep_tars, verify
from fixtures.images.layout import ARM64
from fixtures.memory import MemoryTarget
from fixtures.store import add_image, add_index, contents, store_image
from layerstore.errors import Unreachable
from layerstore.oci import mediatype
from layerstore.oci.digest import Digest
from layerstore.oci.reference import Reference
from layerstore.store.fsck import Damage, Repair, check, repair
from layerstore.store.refs import Ref
from layerstore.store.salvage import DAMAGED, salvage
from layerstore.store.store import Store


class Filled:
    """A store with a single image, an index of two platforms, and a nameless image."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.source = MemoryTarget()
        self.single = add_image(self.source, [b"base", b"single"])
        self.native = add_image(self.source, [b"base", b"native"])
        self.foreign = add_image(self.source, [b"base", b"foreign"], platform=ARM64)
        self.index = add_index(self.source, [self.native, self.foreign])
        self.nameless = add_image(self.source, [b"nameless"])
        for root, name in ((self.single, "single"), (self.index, "index"), (self.nameless, None)):
            store_image(store, self.source, root, name, keep_tars)

    def damages(self) -> list[str]:
        return [str(damage) for damage in check(self.store, verify)]

    def blob(self, data: bytes) -> Path:
        return Path(self.store.layout.blob(Digest.of(data)))

    def repair(self, *, is_connected: bool = True) -> tuple[Repair, ...]:
        def refetch(ref: Ref) -> bool:
            if is_connected and ref.name is not None:
                store_image(self.store, self.source, ref.descriptor, str(ref.name), keep_tars)
            return is_connected and ref.name is not None

        return repair(self.store, check(self.store, verify), refetch)

    def names(self) -> list[str]:
        refs = self.store.refs.read().refs
        return ["nameless" if ref.name is None else ref.name.familiar_name for ref in refs]


@pytest.fixture
def filled(store: Store) -> Filled:
    return Filled(store)


def flip(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(bytes([data[0] ^ 1]) + data[1:])


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def test_a_healthy_store_is_clean(filled: Filled) -> None:
    assert filled.damages() == []


def test_an_empty_store_is_clean(store: Store) -> None:
    assert check(store, verify) == ()


def test_leavings_are_no_damage(filled: Filled) -> None:
    layout = filled.store.layout
    Path(layout.ingests, "sha256-" + "0" * 64).mkdir()
    Path(layout.leases, "1-ab").write_bytes(b"")
    Path(layout.blobs("sha256"), ".tmp-x").write_bytes(b"")
    Path(layout.blob(Digest.of(b"orphan"))).write_bytes(b"orphan")

    assert filled.damages() == []


def test_a_layer_that_a_crash_of_the_machine_may_have_cut_short_is_no_damage(filled: Filled) -> None:
    Path(filled.store.layers.path(Digest.of(b"base")), "tar").write_bytes(b"ba")
    rebooted = Store(filled.store.layout, filled.store.platform, "another-boot")

    assert check(rebooted, verify) == ()


PLANTS: dict[str, Callable[[Filled], str]] = {}


def plant(function: Callable[[Filled], str]) -> Callable[[Filled], str]:
    PLANTS[function.__name__] = function
    return function


@plant
def flipped_layer_blob(filled: Filled) -> str:
    flip(filled.blob(b"single"))
    return f"blob {Digest.of(b'single')}: its bytes have another digest"


@plant
def truncated_shared_blob(filled: Filled) -> str:
    truncate(filled.blob(b"base"))
    return f"blob {Digest.of(b'base')}: its bytes have another digest"


@plant
def flipped_manifest(filled: Filled) -> str:
    flip(Path(filled.store.layout.blob(filled.native.digest)))
    return f"blob {filled.native.digest}: its bytes have another digest"


@plant
def missing_manifest(filled: Filled) -> str:
    Path(filled.store.layout.blob(filled.single.digest)).unlink()
    return f"ref docker.io/library/single:latest: {filled.single.digest} is missing or has another size"


@plant
def missing_shared_blob(filled: Filled) -> str:
    filled.blob(b"base").unlink()
    names = "docker.io/library/single:latest, docker.io/library/index:latest"
    return f"ref {names}: {Digest.of(b'base')} is missing or has another size"


@plant
def missing_blob_of_a_nameless_image(filled: Filled) -> str:
    filled.blob(b"nameless").unlink()
    return f"ref {filled.nameless.digest}: {Digest.of(b'nameless')} is missing or has another size"


@plant
def blob_that_is_a_directory(filled: Filled) -> str:
    Path(filled.store.layout.blob(Digest.of(b"other"))).mkdir()
    return f"blob {Digest.of(b'other')}: its bytes have another digest"


@plant
def flipped_layer(filled: Filled) -> str:
    flip(Path(filled.store.layers.path(Digest.of(b"base")), "tar"))
    return f"layer {Digest.of(b'base')}: it is not the layer of that diff_id"


@plant
def emptied_layer(filled: Filled) -> str:
    Path(filled.store.layers.path(Digest.of(b"base")), "tar").unlink()
    return f"layer {Digest.of(b'base')}: it is not the layer of that diff_id"


@plant
def missing_marker(filled: Filled) -> str:
    Path(filled.store.layout.content, "oci-layout").unlink()
    return "layout oci-layout: is missing"


@plant
def wrong_marker(filled: Filled) -> str:
    Path(filled.store.layout.content, "oci-layout").write_bytes(b"{}")
    return "layout oci-layout: is not the marker of an image layout"


@plant
def missing_directory(filled: Filled) -> str:
    Path(filled.store.layout.leases).rmdir()
    return "layout leases: is missing"


@plant
def missing_index(filled: Filled) -> str:
    Path(filled.store.layout.index).unlink()
    return f"layout index.json: the store at {filled.store.layout.root} has no index.json"


@plant
def emptied_index(filled: Filled) -> str:
    Path(filled.store.layout.index).write_bytes(b"")
    return (
        "layout index.json: the store's index.json is damaged: "
        "index.json is not valid JSON: Expecting value: line 1 column 1 (char 0)"
    )


@pytest.mark.parametrize("name", PLANTS)
def test_each_planted_damage_is_found_exactly_once(filled: Filled, name: str) -> None:
    expected = PLANTS[name](filled)

    assert filled.damages() == [expected]


@pytest.mark.parametrize("name", PLANTS)
def test_each_planted_damage_is_mended_where_the_registry_has_the_content(filled: Filled, name: str) -> None:
    PLANTS[name](filled)

    repairs = filled.repair()

    assert repairs
    assert filled.damages() == []
    assert filled.store.blobs.has_graph(filled.native)
    if "nameless" not in name and "index" not in name:
        assert all(each.is_mended for each in repairs)
        assert sorted(filled.names()) == ["index", "nameless", "single"]


@pytest.mark.parametrize("name", PLANTS)
def test_each_planted_damage_is_gone_after_a_repair_without_a_registry(filled: Filled, name: str) -> None:
    PLANTS[name](filled)

    filled.repair(is_connected=False)

    assert filled.damages() == []


def test_an_image_whose_content_is_lost_is_dropped_and_the_others_stay(filled: Filled) -> None:
    filled.blob(b"single").unlink()

    repairs = filled.repair(is_connected=False)

    assert [each.is_mended for each in repairs] == [False]
    assert sorted(filled.names()) == ["index", "nameless"]


def test_an_image_whose_registry_does_not_answer_waits_for_another_repair(filled: Filled) -> None:
    filled.blob(b"single").unlink()

    def refetch(ref: Ref) -> bool:
        raise Unreachable("no route to host")

    (repaired,) = repair(filled.store, check(filled.store, verify), refetch)

    assert (repaired.outcome, repaired.is_mended) == (
        "kept, though nothing could be fetched: no route to host",
        False,
    )
    assert sorted(filled.names()) == ["index", "nameless", "single"]
    assert all(each.is_mended for each in filled.repair())
    assert filled.damages() == []


def test_a_repair_of_a_healthy_store_does_nothing(filled: Filled) -> None:
    before = contents(filled.store.layout.root)

    assert filled.repair() == ()

    assert contents(filled.store.layout.root) == before


def test_a_blob_that_another_process_brought_back_meanwhile_is_left_alone(filled: Filled) -> None:
    whole = filled.blob(b"single").read_bytes()
    flip(filled.blob(b"single"))
    found = check(filled.store, verify)
    filled.blob(b"single").write_bytes(whole)

    repair(filled.store, found, lambda ref: False)

    assert filled.damages() == []
    assert sorted(filled.names()) == ["index", "nameless", "single"]


def test_a_lost_index_is_rebuilt_from_the_images_on_disk(filled: Filled) -> None:
    Path(filled.store.layout.index).unlink()

    filled.repair()

    refs = filled.store.refs.read().refs
    assert {ref.descriptor for ref in refs} == {filled.single, filled.index, filled.nameless}
    assert all(ref.name is None for ref in refs)
    assert {ref.descriptor.digest: ref.platform for ref in refs}[
        filled.single.digest
    ] == filled.single.platform


def test_a_damaged_index_is_set_aside_and_its_readable_names_are_kept(filled: Filled) -> None:
    index = Path(filled.store.layout.index)
    damaged = index.read_bytes().replace(b'"docker.io/library/single:latest"', b'"docker.io/library/sin')
    index.write_bytes(damaged)

    filled.repair()

    assert Path(filled.store.layout.content, DAMAGED).read_bytes() == damaged
    assert filled.store.blobs.resolve("index") == filled.index
    assert {ref.descriptor for ref in filled.store.refs.read().refs} == {
        filled.single,
        filled.index,
        filled.nameless,
    }


def test_one_bad_entry_costs_no_other_its_name(filled: Filled) -> None:
    index = Path(filled.store.layout.index)
    document = json.loads(index.read_bytes())
    document["manifests"].insert(0, {"mediaType": mediatype.OCI_MANIFEST, "digest": "sha256:no", "size": 1})
    index.write_bytes(json.dumps(document).encode())

    filled.repair()

    assert sorted(filled.names()) == ["index", "nameless", "single"]


@pytest.mark.parametrize("cut", [0.2, 0.5, 0.8])
def test_a_truncated_index_loses_no_image(filled: Filled, cut: float) -> None:
    index = Path(filled.store.layout.index)
    os.truncate(index, int(index.stat().st_size * cut))

    filled.repair()

    assert {ref.descriptor for ref in filled.store.refs.read().refs} == {
        filled.single,
        filled.index,
        filled.nameless,
    }
    assert filled.damages() == []


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_damage_to_the_index_loses_an_image(filled: Filled, data: st.DataObject) -> None:
    raw = bytearray(Path(filled.store.layout.index).read_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        start = data.draw(st.integers(0, len(raw)))
        raw[start : start + data.draw(st.integers(0, 40))] = data.draw(st.binary(max_size=8))

    table = salvage(filled.store, bytes(raw))

    assert {filled.single, filled.index, filled.nameless} <= {ref.descriptor for ref in table.refs}


def test_an_image_that_is_not_whole_is_not_brought_back(filled: Filled) -> None:
    filled.blob(b"single").unlink()
    Path(filled.store.layout.index).unlink()

    filled.repair()

    assert filled.single not in {ref.descriptor for ref in filled.store.refs.read().refs}


def test_a_hostile_index_of_indexes_is_checked_in_linear_time(store: Store) -> None:
    source = MemoryTarget()
    root = add_image(source, [b"one"])
    for _ in range(6):
        root = add_index(source, [root] * 50)
    store_image(store, source, root, "hostile")

    assert check(store, verify) == ()


def test_many_images_that_need_one_missing_blob_are_told_in_one_line(store: Store) -> None:
    source = MemoryTarget()
    for number in range(6):
        store_image(store, source, add_image(source, [b"base", b"%d" % number]), f"image{number}")
    Path(store.layout.blob(Digest.of(b"base"))).unlink()

    damages = check(store, verify)

    assert [type(each) for each in damages] == [Damage]
    assert damages[0].subject.endswith("and 3 more")


def test_a_name_with_a_damaged_image_can_be_taken_by_a_good_one(filled: Filled) -> None:
    filled.blob(b"single").unlink()

    store_image(filled.store, filled.source, filled.nameless, "single", keep_tars)

    assert filled.store.refs.read().find(Reference.parse("single"), filled.store.platform) == Ref(
        Reference.parse("single"), filled.nameless
    )
