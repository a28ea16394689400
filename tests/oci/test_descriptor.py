"""Descriptors: what is known is typed, what is unknown survives."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerstore.errors import InvalidDigest, InvalidDocument, LimitExceeded
from layerstore.oci import mediatype
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.digest import Digest
from layerstore.oci.document import Json
from layerstore.oci.platform import Platform

DIGEST = str(Digest.of(b"x"))
MINIMAL: dict[str, Json] = {"mediaType": mediatype.OCI_LAYER, "digest": DIGEST, "size": 1}


def test_every_field_survives_a_round_trip_the_unknown_too() -> None:
    full = {
        **MINIMAL,
        "platform": {"os": "linux", "architecture": "arm", "variant": "v6", "os.features": ["a"]},
        "annotations": {"org.example": "ü"},
        "artifactType": "application/x",
        "urls": ["https://example.com/x"],
        "data": "eA==",
        "x-unknown": {"deep": [1, None, True]},
    }

    descriptor = Descriptor.from_json(full)

    assert descriptor.to_json() == full
    assert descriptor.platform == Platform("linux", "arm", "v6", os_features=("a",))


def test_empty_fields_are_left_out() -> None:
    assert Descriptor.from_json({**MINIMAL, "annotations": None, "platform": None}).to_json() == MINIMAL


def test_equality_goes_by_what_identifies_the_content() -> None:
    plain = Descriptor.from_json(MINIMAL)

    named = Descriptor.from_json({**MINIMAL, "annotations": {"a": "b"}, "platform": {"os": "linux"}})

    assert plain == named
    assert len({plain, named}) == 1
    assert plain != Descriptor.from_json({**MINIMAL, "size": 2})


@pytest.mark.parametrize(
    "change",
    [
        {"mediaType": None},
        {"mediaType": ""},
        {"mediaType": 5},
        {"digest": None},
        {"digest": []},
        {"digest": "sha256:../../x"},
        {"size": None},
        {"size": -1},
        {"size": 1 << 63},
        {"size": 1.0},
        {"size": True},
        {"size": "1"},
        {"platform": "linux"},
        {"platform": {"os": 1}},
        {"annotations": {"a": 1}},
        {"annotations": ["a"]},
        {"urls": "https://example.com"},
        {"urls": [1]},
    ],
)
def test_a_field_of_the_wrong_type_is_refused(change: dict[str, Json]) -> None:
    with pytest.raises((InvalidDocument, InvalidDigest)):
        Descriptor.from_json({**MINIMAL, **change})


@pytest.mark.parametrize("value", [None, [], "x", 1, True])
def test_what_is_no_object_is_no_descriptor(value: Json) -> None:
    with pytest.raises(InvalidDocument):
        Descriptor.from_json(value)


def test_urls_are_bounded() -> None:
    with pytest.raises(LimitExceeded):
        Descriptor.from_json({**MINIMAL, "urls": ["https://example.com"] * 1000})


@given(st.binary())
def test_a_descriptor_of_bytes_names_and_measures_them(data: bytes) -> None:
    descriptor = Descriptor.of(mediatype.OCI_LAYER, data)

    assert (descriptor.digest, descriptor.size) == (Digest.of(data), len(data))
    assert str(descriptor) == str(descriptor.digest)
