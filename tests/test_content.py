"""The graph and its reads: nothing is trusted before size and digest both matched."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.memory import MemoryTarget
from layerstore.content import (
    BytesReader,
    VerifyingReader,
    children,
    has_children,
    opened_bytes,
    read_document,
    read_manifest,
)
from layerstore.errors import ContentMismatch, LimitExceeded, NotFound, UnsupportedContent
from layerstore.oci import mediatype
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.digest import Digest
from layerstore.oci.manifest import build_index, build_manifest

CONFIG = Descriptor.of(mediatype.OCI_CONFIG, b"{}")
LAYER = Descriptor.of(mediatype.OCI_LAYER, b"layer")


def drain(reader: VerifyingReader, step: int = 3) -> bytes:
    return b"".join(iter(lambda: reader.read(step), b""))


@given(st.binary(max_size=200), st.integers(1, 50), st.sampled_from(["sha256", "sha512"]))
def test_matching_bytes_pass_in_any_steps(data: bytes, step: int, algorithm: str) -> None:
    descriptor = Descriptor(mediatype.OCI_LAYER, Digest.of(data, algorithm), len(data))

    assert drain(VerifyingReader(io.BytesIO(data), descriptor), step) == data


@given(st.binary(max_size=100), st.binary(max_size=100))
def test_other_bytes_never_pass(data: bytes, other: bytes) -> None:
    descriptor = Descriptor.of(mediatype.OCI_LAYER, data)
    if data == other:
        return

    with pytest.raises(ContentMismatch):
        drain(VerifyingReader(io.BytesIO(other), descriptor))


def test_an_endless_stream_is_cut_at_the_promised_size() -> None:
    class Endless:
        given = 0

        def read(self, size: int, /) -> bytes:
            self.given += size
            return b"\0" * size

    endless = Endless()

    with pytest.raises(ContentMismatch, match="longer than its 5 bytes"):
        drain(VerifyingReader(endless, LAYER))

    assert endless.given <= 6


def test_a_kept_prefix_counts() -> None:
    reader = VerifyingReader(io.BytesIO(b"er"), LAYER)

    reader.feed(b"lay")

    assert drain(reader) == b"er"
    assert reader.count == LAYER.size


def test_a_document_is_read_whole_and_verified() -> None:
    source = MemoryTarget()
    source.put(CONFIG, b"{}")

    assert read_document(source, CONFIG) == b"{}"
    with pytest.raises(NotFound):
        read_document(source, LAYER)


def test_a_document_with_other_bytes_is_refused() -> None:
    source = MemoryTarget()
    source.put(CONFIG, b"[]")

    with pytest.raises(ContentMismatch):
        read_document(source, CONFIG)


def test_a_document_that_says_it_is_huge_is_not_fetched() -> None:
    source = MemoryTarget()

    with pytest.raises(LimitExceeded):
        read_document(source, Descriptor(mediatype.OCI_MANIFEST, LAYER.digest, 1 << 40))

    assert source.fetched == []


def test_the_children_of_a_manifest_are_its_config_and_layers_without_its_subject() -> None:
    manifest = build_manifest(CONFIG, (LAYER,))

    assert children(manifest) == (CONFIG, LAYER)
    assert children(build_index((manifest.descriptor,))) == (manifest.descriptor,)


@pytest.mark.parametrize(
    "media_type", [mediatype.OCI_FOREIGN_LAYER, mediatype.DOCKER_FOREIGN_LAYER + ".gzip"]
)
def test_foreign_layers_are_refused(media_type: str) -> None:
    manifest = build_manifest(CONFIG, (Descriptor.of(media_type, b"x"),))

    with pytest.raises(UnsupportedContent, match="foreign"):
        children(manifest)


def test_manifests_and_indexes_have_children_and_nothing_else_has() -> None:
    manifest = build_manifest(CONFIG, (LAYER,))
    index = build_index((manifest.descriptor,))

    assert has_children(manifest.descriptor)
    assert has_children(index.descriptor)
    assert not has_children(CONFIG)
    assert not has_children(LAYER)


def test_a_manifest_is_read_parsed() -> None:
    source = MemoryTarget()
    manifest = build_manifest(CONFIG, (LAYER,))
    source.put(manifest.descriptor, manifest.raw)

    assert read_manifest(source, manifest.descriptor) == manifest


@given(st.binary(max_size=50), st.integers(0, 60), st.integers(1, 9))
def test_bytes_in_memory_are_read_from_an_offset(data: bytes, offset: int, step: int) -> None:
    with opened_bytes(data, offset) as stream:
        assert b"".join(iter(lambda: stream.read(step), b"")) == data[offset:]

    assert BytesReader(data).read(5) == data[:5]
