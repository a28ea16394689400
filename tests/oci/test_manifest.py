"""Manifests and indexes: OCI and schema 2, exact bytes, one meaning only (CVE-2021-41190)."""

import json

import pytest

from layerstore.errors import InvalidDigest, InvalidDocument, LimitExceeded, UnsupportedContent
from layerstore.oci import mediatype
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.document import Json
from layerstore.oci.manifest import Index, Manifest, build_index, build_manifest, parse
from layerstore.oci.platform import Platform

CONFIG = Descriptor.of(mediatype.OCI_CONFIG, b"{}")
LAYER = Descriptor.of(mediatype.OCI_LAYER_GZIP, b"layer")
MANIFEST: dict[str, Json] = {
    "schemaVersion": 2,
    "mediaType": mediatype.OCI_MANIFEST,
    "config": CONFIG.to_json(),
    "layers": [LAYER.to_json()],
}
INDEX: dict[str, Json] = {
    "schemaVersion": 2,
    "mediaType": mediatype.OCI_INDEX,
    "manifests": [Descriptor.of(mediatype.OCI_MANIFEST, b"m").to_json()],
}


def spell(body: object) -> bytes:
    return json.dumps(body, indent=3).encode()


@pytest.mark.parametrize("media_type", [mediatype.OCI_MANIFEST, mediatype.DOCKER_MANIFEST])
def test_a_manifest_keeps_its_exact_bytes_and_shows_its_parts(media_type: str) -> None:
    raw = spell({**MANIFEST, "mediaType": media_type, "x-unknown": 1})

    manifest = parse(raw, media_type)

    assert isinstance(manifest, Manifest)
    assert manifest.raw == raw
    assert (manifest.config, manifest.layers) == (CONFIG, (LAYER,))
    assert manifest.descriptor == Descriptor.of(media_type, raw)
    assert manifest.is_image


@pytest.mark.parametrize("media_type", [mediatype.OCI_INDEX, mediatype.DOCKER_LIST])
def test_an_index_keeps_its_exact_bytes_and_shows_its_parts(media_type: str) -> None:
    raw = spell({**INDEX, "mediaType": media_type})

    index = parse(raw, media_type)

    assert isinstance(index, Index)
    assert index.raw == raw
    assert index.descriptor == Descriptor.of(media_type, raw)
    assert len(index.manifests) == 1


def test_a_body_that_says_no_media_type_is_what_it_came_as() -> None:
    silent = {key: value for key, value in MANIFEST.items() if key != "mediaType"}

    assert parse(spell(silent), mediatype.OCI_MANIFEST).media_type == mediatype.OCI_MANIFEST


def test_an_artifact_is_no_image() -> None:
    empty = Descriptor.of(mediatype.OCI_EMPTY, b"{}")
    subject = Descriptor.of(mediatype.OCI_MANIFEST, b"subject")
    body = {**MANIFEST, "config": empty.to_json(), "artifactType": "a/b", "subject": subject.to_json()}

    manifest = parse(spell(body), mediatype.OCI_MANIFEST)

    assert isinstance(manifest, Manifest)
    assert (manifest.is_image, manifest.artifact_type, manifest.subject) == (False, "a/b", subject)


AMBIGUOUS: list[tuple[dict[str, Json], str]] = [
    ({**MANIFEST, "manifests": []}, mediatype.OCI_MANIFEST),
    ({**MANIFEST, "manifests": None}, mediatype.OCI_MANIFEST),
    ({**INDEX, "layers": []}, mediatype.OCI_INDEX),
    ({**INDEX, "config": CONFIG.to_json()}, mediatype.OCI_INDEX),
    ({**MANIFEST, "fsLayers": []}, mediatype.OCI_MANIFEST),
    (MANIFEST, mediatype.OCI_INDEX),
    (MANIFEST, mediatype.DOCKER_MANIFEST),
    (INDEX, mediatype.OCI_MANIFEST),
    ({**INDEX, "mediaType": mediatype.OCI_MANIFEST}, mediatype.OCI_INDEX),
    ({**MANIFEST, "mediaType": "text/plain"}, mediatype.OCI_MANIFEST),
]


@pytest.mark.parametrize(("body", "media_type"), AMBIGUOUS)
def test_a_body_that_could_be_two_things_is_refused(body: dict[str, Json], media_type: str) -> None:
    with pytest.raises(InvalidDocument):
        parse(spell(body), media_type)


def test_layers_spelt_twice_are_refused() -> None:
    raw = spell(MANIFEST)[:-1] + b', "layers": []}'

    with pytest.raises(InvalidDocument, match="'layers' appears twice"):
        parse(raw, mediatype.OCI_MANIFEST)


@pytest.mark.parametrize(
    "change",
    [
        {"schemaVersion": 1},
        {"schemaVersion": "2"},
        {"schemaVersion": None},
        {"mediaType": 2},
        {"config": None},
        {"config": []},
        {"config": {**CONFIG.to_json(), "size": -1}},
        {"layers": None},
        {"layers": {}},
        {"layers": [None]},
        {"layers": ["sha256:00"]},
        {"layers": [{**LAYER.to_json(), "digest": "sha256:../../../etc/passwd"}]},
        {"subject": 5},
        {"annotations": {"a": None}},
        {"artifactType": {}},
    ],
)
def test_a_malformed_manifest_ends_in_a_typed_error(change: dict[str, Json]) -> None:
    with pytest.raises((InvalidDocument, InvalidDigest)):
        parse(spell({**MANIFEST, **change}), mediatype.OCI_MANIFEST)


@pytest.mark.parametrize("manifests", [None, {}, "x", [None], [[]], [{}]])
def test_a_malformed_index_ends_in_a_typed_error(manifests: Json) -> None:
    with pytest.raises(InvalidDocument):
        parse(spell({**INDEX, "manifests": manifests}), mediatype.OCI_INDEX)


def test_a_million_layers_are_refused() -> None:
    body = {**MANIFEST, "layers": [0] * 1_000_000}

    with pytest.raises(LimitExceeded, match="1000000 elements"):
        parse(json.dumps(body).encode(), mediatype.OCI_MANIFEST)


@pytest.mark.parametrize("media_type", [mediatype.DOCKER_SCHEMA1, mediatype.DOCKER_SCHEMA1_SIGNED])
def test_schema_1_is_refused_with_what_to_do(media_type: str) -> None:
    with pytest.raises(UnsupportedContent, match="schema 1") as caught:
        parse(b"{}", media_type)

    assert caught.value.hint


@pytest.mark.parametrize("media_type", ["", "text/html", mediatype.OCI_CONFIG, mediatype.OCI_LAYER])
def test_other_media_types_are_neither_manifest_nor_index(media_type: str) -> None:
    with pytest.raises(UnsupportedContent):
        parse(spell(MANIFEST), media_type)


def test_attestations_and_artifacts_are_no_images_of_an_index() -> None:
    image = Descriptor(mediatype.OCI_MANIFEST, LAYER.digest, 1, platform=Platform("linux", "amd64"))
    attestation = Descriptor(
        mediatype.OCI_MANIFEST, CONFIG.digest, 1, platform=Platform("unknown", "unknown")
    )
    artifact = Descriptor(
        mediatype.OCI_MANIFEST, CONFIG.digest, 2, platform=Platform("linux", "amd64"), artifact_type="a/b"
    )
    bare = Descriptor(mediatype.OCI_MANIFEST, CONFIG.digest, 3)

    index = build_index((image, attestation, artifact, bare))

    assert index.images == (image,)
    assert len(index.manifests) == 4


def test_what_is_built_is_canonical_and_parses_back() -> None:
    manifest = build_manifest(CONFIG, (LAYER,), {"b": "2", "a": "1"})
    again = build_manifest(CONFIG, (LAYER,), {"a": "1", "b": "2"})

    assert manifest.raw == again.raw
    assert parse(manifest.raw, mediatype.OCI_MANIFEST) == manifest
    assert manifest.annotations == {"a": "1", "b": "2"}
