"""The table of refs: one name, one platform, one slot; images that lose their last name stay, nameless."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.images.layout import AMD64, ARM64
from fixtures.memory import MemoryTarget
from fixtures.store import add_image, add_index, store_image
from layerstore.errors import StoreDamaged
from layerstore.oci import mediatype
from layerstore.oci.annotation import IMAGE_NAME, REF_NAME
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.digest import Digest
from layerstore.oci.platform import Platform
from layerstore.oci.reference import Reference
from layerstore.store.refs import Ref, RefTable, parse_table
from layerstore.store.store import Store

DEBIAN = Reference.parse("debian")


def image(content: str, platform: Platform | None = AMD64) -> Descriptor:
    return replace(Descriptor.of(mediatype.OCI_MANIFEST, content.encode()), platform=platform)


def table(*refs: Ref) -> RefTable:
    found = RefTable(())
    for ref in refs:
        found = found.with_ref(ref)
    return found


def test_another_platform_does_not_clobber_the_native_one() -> None:
    refs = table(Ref(DEBIAN, image("1")), Ref(DEBIAN, image("2", ARM64)))

    assert refs.find(DEBIAN, AMD64) == Ref(DEBIAN, image("1"))
    assert refs.find(DEBIAN, ARM64) == Ref(DEBIAN, image("2", ARM64))


def test_an_image_that_lost_its_last_name_stays_nameless() -> None:
    refs = table(Ref(DEBIAN, image("1")), Ref(DEBIAN, image("2")))

    assert refs.refs == (Ref(None, image("1")), Ref(DEBIAN, image("2")))


def test_an_image_with_another_name_left_does_not_become_nameless() -> None:
    other = Reference.parse("other")

    refs = table(Ref(DEBIAN, image("1")), Ref(other, image("1")), Ref(DEBIAN, image("2")))

    assert [ref.name for ref in refs.refs] == [other, DEBIAN]


def test_a_nameless_image_that_gets_a_name_is_nameless_no_more() -> None:
    refs = table(Ref(DEBIAN, image("1")), Ref(DEBIAN, image("2")), Ref(Reference.parse("old"), image("1")))

    assert all(ref.name is not None for ref in refs.refs)


def test_a_host_falls_back_to_an_entry_for_no_platform() -> None:
    index = Ref(DEBIAN, Descriptor.of(mediatype.OCI_INDEX, b"index"))

    refs = table(Ref(DEBIAN, image("2", ARM64)), index)

    assert refs.find(DEBIAN, AMD64) == index


INDEX = Descriptor.of(mediatype.OCI_INDEX, b"index")


def test_an_index_takes_its_name_from_older_images_of_single_platforms() -> None:
    old = table(
        Ref(DEBIAN, image("1")), Ref(DEBIAN, image("2", ARM64)), Ref(Reference.parse("kept"), image("3"))
    )

    refs = old.with_ref(Ref(DEBIAN, INDEX), covered={image("2").digest})

    assert refs.find(DEBIAN, AMD64) == refs.find(DEBIAN, ARM64) == Ref(DEBIAN, INDEX)
    assert [(ref.name, ref.descriptor) for ref in refs.refs] == [
        (Reference.parse("kept"), image("3")),
        (None, image("1")),
        (DEBIAN, INDEX),
    ]


def test_an_image_of_one_platform_goes_before_an_older_index_that_stays_for_the_others() -> None:
    refs = table(Ref(DEBIAN, INDEX), Ref(DEBIAN, image("1")))

    assert refs.find(DEBIAN, AMD64) == Ref(DEBIAN, image("1"))
    assert refs.find(DEBIAN, ARM64) == Ref(DEBIAN, INDEX)


def test_an_index_that_learns_its_digest_at_a_registry_takes_no_name_for_that() -> None:
    known = Ref(DEBIAN, INDEX, INDEX.digest)

    refs = table(Ref(DEBIAN, INDEX), Ref(DEBIAN, image("1"))).with_ref(known)

    assert refs.refs == (known, Ref(DEBIAN, image("1")))


def test_a_nameless_image_needs_no_entry_once_an_index_holds_it() -> None:
    refs = table(Ref(None, image("1"))).with_ref(Ref(DEBIAN, INDEX), covered={image("1").digest})

    assert refs.refs == (Ref(DEBIAN, INDEX),)


def test_a_host_finds_nothing_where_only_a_foreign_image_has_the_name() -> None:
    assert table(Ref(DEBIAN, image("2", ARM64))).find(DEBIAN, AMD64) is None


def test_a_table_survives_its_own_bytes() -> None:
    annotated = replace(image("1"), annotations={"a": "b"})
    refs = table(Ref(DEBIAN, annotated, Digest.of(b"index")), Ref(None, image("2")))

    parsed = parse_table(refs.to_bytes())

    assert parsed == refs
    assert parsed.refs[0].descriptor.annotations == {"a": "b"}
    assert parsed.refs[0].resolved == Digest.of(b"index")


def test_other_tools_see_the_familiar_name() -> None:
    entries = json.loads(table(Ref(DEBIAN, image("1"))).to_bytes())["manifests"]

    assert entries[0]["annotations"] == {
        REF_NAME: "debian",
        IMAGE_NAME: "docker.io/library/debian:latest",
    }


def test_an_entry_that_another_tool_named_oddly_is_a_nameless_image_and_keeps_its_odd_name() -> None:
    odd = replace(image("1"), annotations={REF_NAME: "NO such/NAME!"})
    raw = table(Ref(None, odd), Ref(DEBIAN, image("2"))).to_bytes()

    parsed = parse_table(raw)

    assert [ref.name for ref in parsed.refs] == [None, DEBIAN]
    assert parsed.to_bytes() == raw


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b'{"manifests":[{"digest":"x"}]}', b'{"manifests":1}'])
def test_damaged_bytes_are_a_damaged_store(raw: bytes) -> None:
    with pytest.raises(StoreDamaged):
        parse_table(raw)


def test_an_unchanged_table_is_not_written_again(store: Store) -> None:
    source = MemoryTarget()
    store_image(store, source, add_image(source, [b"one"]), "debian")
    before = Path(store.layout.index).stat()

    store.update_refs(lambda refs: refs)

    assert Path(store.layout.index).stat().st_ino == before.st_ino


def test_a_store_finds_an_index_by_its_name(store: Store) -> None:
    source = MemoryTarget()
    root = add_index(source, [add_image(source, [b"one"]), add_image(source, [b"two"], platform=ARM64)])

    store_image(store, source, root, "debian")

    assert store.blobs.resolve("debian") == root


REFS = st.builds(
    Ref,
    st.none() | st.sampled_from([DEBIAN, Reference.parse("other"), Reference.parse("example.com/app:v1")]),
    st.builds(image, st.sampled_from("abc"), st.sampled_from([AMD64, ARM64])),
)


@given(st.lists(REFS, max_size=12))
def test_no_image_is_ever_lost_by_naming_others(refs: list[Ref]) -> None:
    found = table(*refs)

    assert {ref.descriptor for ref in found.refs} == {ref.descriptor for ref in refs}


@given(st.lists(REFS, max_size=12))
def test_every_slot_has_one_entry_and_what_has_a_name_is_not_nameless_too(refs: list[Ref]) -> None:
    found = table(*refs).refs

    slots = [(ref.name, ref.platform) for ref in found if ref.name is not None]
    assert len(slots) == len(set(slots))
    named = {ref.descriptor for ref in found if ref.name is not None}
    nameless = [ref.descriptor for ref in found if ref.name is None]
    assert not named & set(nameless)
    assert len(nameless) == len(set(nameless))


@given(st.lists(REFS, max_size=12))
def test_any_table_survives_its_own_bytes(refs: list[Ref]) -> None:
    found = table(*refs)

    assert parse_table(found.to_bytes()).to_bytes() == found.to_bytes()
