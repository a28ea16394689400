"""Which images a prune picks: by name, by use, by last use, by a cap on the whole."""

import os

import pytest

from fixtures.memory import MemoryTarget
from fixtures.store import add_image, store_image
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.reference import Reference
from layerstore.store.gc import mark, plan_collection
from layerstore.store.prune import PrunePlan, plan_prune
from layerstore.store.store import Store

SIZE = 100_000
"""Bytes of the one layer that each image has for itself."""


@pytest.fixture
def images(store: Store) -> dict[str, Descriptor]:
    """Three images, last used at the moments 100, 200 and 300, and a nameless one, at 50."""
    source = MemoryTarget()
    found = {}
    for moment, name in ((50, "nameless"), (100, "oldest"), (200, "middle"), (300, "newest")):
        root = found[name] = add_image(source, [b"base", name.encode() * (SIZE // len(name))])
        store_image(store, source, root, None if name == "nameless" else name)
        store.blobs.touch(root, float(moment))
    return found


def names(plan: PrunePlan) -> list[str]:
    return [str(ref.name.familiar_name) if ref.name is not None else "nameless" for ref in plan.refs]


def test_nameless_images_go_by_default(store: Store, images: dict[str, Descriptor]) -> None:
    with store.locked():
        plan = plan_prune(store, mark(store))

    assert names(plan) == ["nameless"]


def test_all_that_no_container_stands_on_goes_least_recently_used_first(
    store: Store, images: dict[str, Descriptor]
) -> None:
    with store.locked():
        plan = plan_prune(store, mark(store, held=[images["middle"]]), all_unused=True)

    assert names(plan) == ["nameless", "oldest", "newest"]


def test_what_was_used_since_stays(store: Store, images: dict[str, Descriptor]) -> None:
    with store.locked():
        plan = plan_prune(store, mark(store), all_unused=True, until=200.0)

    assert names(plan) == ["nameless", "oldest"]


def test_using_an_image_moves_it_to_the_end(store: Store, images: dict[str, Descriptor]) -> None:
    store.blobs.touch(images["oldest"])

    with store.locked():
        plan = plan_prune(store, mark(store), all_unused=True)

    assert names(plan)[-1] == "oldest"


def test_only_as_much_goes_as_the_cap_asks_for(store: Store, images: dict[str, Descriptor]) -> None:
    with store.locked():
        plan = plan_prune(store, mark(store), all_unused=True, keep_size=int(2.7 * SIZE))

    assert names(plan) == ["nameless", "oldest"]


def test_a_generous_cap_keeps_everything(store: Store, images: dict[str, Descriptor]) -> None:
    with store.locked():
        plan = plan_prune(store, mark(store), all_unused=True, keep_size=100 * SIZE)

    assert plan.refs == ()
    assert str(plan) == ""


def test_a_plan_carried_out_leaves_what_it_said(store: Store, images: dict[str, Descriptor]) -> None:
    with store.locked():
        plan = plan_prune(store, mark(store), all_unused=True, until=250.0)
        plan.execute(store)
        plan_collection(store, plan.left, with_ingests=True).execute()

    assert [ref.name for ref in store.refs.read().refs] == [Reference.parse("newest")]
    assert store.blobs.has_graph(images["newest"])
    assert len(os.listdir(store.layout.blobs("sha256"))) == 4


def test_what_is_missing_was_never_used_and_cannot_be_touched(store: Store) -> None:
    missing = Descriptor.of("application/octet-stream", b"missing")

    store.blobs.touch(missing)

    assert store.blobs.last_used(missing) == 0.0
