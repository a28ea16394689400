"""A repository as a source and a target, on a simulated network."""

import json
from functools import partial
from pathlib import Path

import pytest

from fixtures.network import SimulatedHost, SimulatedRegistry
from fixtures.registry import Fault, actions
from fixtures.registry.exchange import Response as Answer
from fixtures.registry.storage import StoredManifest
from layerstore.content import VerifyingReader, opened_bytes, read_document
from layerstore.copy import copy
from layerstore.errors import (
    ContentMismatch,
    InvalidDigest,
    InvalidDocument,
    InvalidReference,
    LimitExceeded,
    LstoreError,
    NotFound,
    RegistryError,
    Unreachable,
    UnsupportedContent,
)
from layerstore.oci import mediatype
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.digest import Digest
from layerstore.oci.document import MAX_DOCUMENT, dump
from layerstore.oci.manifest import MAX_MANIFESTS, build_index, build_manifest, parse
from layerstore.oci.reference import Reference
from registry_client import listing
from registry_client.listing import MAX_PAGE
from registry_client.referrers import fallback_tag
from registry_client.scope import PUSH
from registry_client.settings import Settings
from tests.registry_client.world import HOST, NAME, Image, World, drain


def test_a_tag_resolves_by_one_head(world: World, reference: Reference, image: Image) -> None:
    found = world.client.repository(reference).resolve("latest")

    assert found == image.manifest.descriptor
    assert [each.method for each in world.network.requests] == ["HEAD"]


def test_a_digest_resolves_to_itself(world: World, reference: Reference, image: Image) -> None:
    digest = image.manifest.descriptor.digest

    assert world.client.repository(reference).resolve(str(digest)) == image.manifest.descriptor


@pytest.mark.parametrize(
    "action",
    [
        actions.ChangeHeaders(drop=("Docker-Content-Digest",)),
        actions.ChangeHeaders(drop=("Content-Type",)),
        actions.ChangeHeaders(set={"Content-Type": "application/json"}),
        actions.ChangeHeaders(set={"Content-Length": "0"}),
        actions.Status(405),
    ],
)
def test_a_head_that_does_not_tell_enough_is_followed_by_a_get(
    world: World,
    simulated: SimulatedRegistry,
    reference: Reference,
    image: Image,
    action: actions.ChangeHeaders,
) -> None:
    simulated.faults.add(Fault(action, method="HEAD"))
    repository = world.client.repository(reference)

    found = repository.resolve("latest")
    raw = read_document(repository, found)

    assert found == image.manifest.descriptor
    assert raw == image.manifest.raw
    assert [each.method for each in world.network.requests] == ["HEAD", "GET"]


def test_bytes_that_are_not_the_digest_asked_for_are_refused_without_a_head_too(
    world: World, simulated: SimulatedRegistry, reference: Reference, image: Image
) -> None:
    simulated.faults.add(Fault(actions.Status(405), method="HEAD"))
    simulated.faults.add(Fault(actions.Corrupt(10), method="GET"))

    with pytest.raises(ContentMismatch):
        world.client.repository(reference).resolve(str(image.manifest.descriptor.digest))


def test_a_head_that_answers_with_another_digest_is_refused(
    world: World, simulated: SimulatedRegistry, reference: Reference, image: Image
) -> None:
    other = str(Digest.of(b"other"))
    simulated.faults.add(Fault(actions.ChangeHeaders(set={"Docker-Content-Digest": other}), method="HEAD"))

    with pytest.raises(ContentMismatch, match="answered with"):
        world.client.repository(reference).resolve(str(image.manifest.descriptor.digest))


@pytest.mark.parametrize("digest", ["sha256:../../etc/passwd", "sha256:" + "A" * 64, "md5:" + "0" * 32])
def test_a_digest_is_validated_before_it_enters_a_url(
    world: World, simulated: SimulatedRegistry, reference: Reference, digest: str
) -> None:
    simulated.faults.add(Fault(actions.ChangeHeaders(set={"Docker-Content-Digest": digest}), method="HEAD"))

    with pytest.raises(InvalidDigest):
        world.client.repository(reference).resolve(digest)
    with pytest.raises(RegistryError):
        world.client.repository(reference).resolve("latest")
    assert all(digest not in each.url for each in world.network.requests)


@pytest.mark.parametrize("tag", ["", "../x", "a/b", "a?b", "a b", "-x", "x" * 129])
def test_a_tag_is_validated_before_it_enters_a_url(world: World, reference: Reference, tag: str) -> None:
    with pytest.raises(InvalidReference):
        world.client.repository(reference).resolve(tag)

    assert world.network.requests == []


def test_what_is_not_there_is_said_by_its_whole_name(
    world: World, reference: Reference, image: Image
) -> None:
    repository = world.client.repository(reference)

    with pytest.raises(NotFound, match=r"^registry\.example/team/app:absent not found"):
        repository.resolve("absent")
    with pytest.raises(NotFound), repository.fetch(Descriptor.of(mediatype.OCI_LAYER, b"absent")) as stream:
        stream.read(1)
    with pytest.raises(NotFound):
        read_document(repository, Descriptor.of(mediatype.OCI_MANIFEST, b"absent"))


@pytest.mark.parametrize(
    "media_type",
    [mediatype.DOCKER_SCHEMA1, mediatype.DOCKER_SCHEMA1_SIGNED, "application/vnd.example+json", "text/html"],
)
def test_what_is_neither_manifest_nor_index_is_unsupported(
    world: World, simulated: SimulatedRegistry, reference: Reference, media_type: str
) -> None:
    simulated.faults.add(Fault(actions.ChangeHeaders(set={"Content-Type": media_type}), times=None))

    with pytest.raises(UnsupportedContent):
        world.client.repository(reference).resolve("latest")


@pytest.mark.parametrize("media_type", [mediatype.DOCKER_MANIFEST, mediatype.OCI_INDEX, "text/html"])
def test_a_content_type_that_contradicts_the_manifest_is_refused(
    world: World, simulated: SimulatedRegistry, reference: Reference, image: Image, media_type: str
) -> None:
    simulated.faults.add(Fault(actions.ChangeHeaders(set={"Content-Type": media_type}), method="GET"))

    with pytest.raises(InvalidDocument, match="came as"):
        read_document(world.client.repository(reference), image.manifest.descriptor)


def test_a_body_that_is_manifest_and_index_at_once_is_refused(
    world: World, simulated: SimulatedRegistry, reference: Reference, image: Image
) -> None:
    both = dump({**json.loads(image.manifest.raw), "manifests": []})
    descriptor = Descriptor.of(mediatype.OCI_MANIFEST, both)
    answer = Answer(200, {"Content-Type": descriptor.media_type}, (both,))
    simulated.faults.add(Fault(lambda _request, _serve: answer, method="GET"))

    with pytest.raises(InvalidDocument, match="also an index"):
        read_document(world.client.repository(reference), descriptor)


@pytest.mark.parametrize(
    ("action", "error"),
    [
        (actions.Corrupt(5), ContentMismatch),
        (actions.Oversize(MAX_DOCUMENT + 1), LimitExceeded),
        (actions.ReplaceBody(b"{}"), ContentMismatch),
    ],
)
def test_a_manifest_of_other_bytes_is_refused(
    world: World,
    simulated: SimulatedRegistry,
    reference: Reference,
    image: Image,
    action: actions.Corrupt,
    error: type[LstoreError],
) -> None:
    simulated.faults.add(Fault(action, method="GET", times=None))

    with pytest.raises(error):
        read_document(world.client.repository(reference), image.manifest.descriptor)


def test_a_manifest_that_breaks_off_is_asked_for_again(
    world: World, simulated: SimulatedRegistry, reference: Reference, image: Image
) -> None:
    simulated.faults.add(Fault(actions.Truncate(10), method="GET", times=2))

    assert read_document(world.client.repository(reference), image.manifest.descriptor) == image.manifest.raw
    assert len(world.clock.slept) == 2


def test_a_manifest_that_breaks_off_every_time_is_unreachable(
    world: World, simulated: SimulatedRegistry, reference: Reference, image: Image
) -> None:
    simulated.faults.add(Fault(actions.Truncate(10), method="GET", times=None))

    with pytest.raises(Unreachable):
        read_document(world.client.repository(reference), image.manifest.descriptor)


def test_a_blob_comes_whole_and_from_any_offset(world: World, reference: Reference, image: Image) -> None:
    repository = world.client.repository(reference)

    for offset in (0, 1, 299_999, 300_000):
        with repository.fetch(image.blob, offset) as stream:
            assert drain(stream) == image.layer[offset:]


def test_nothing_is_asked_for_where_nothing_is_missing(
    world: World, reference: Reference, image: Image
) -> None:
    with world.client.repository(reference).fetch(image.blob, image.blob.size) as stream:
        assert stream.read(10) == b""

    assert world.network.requests == []


def test_whether_something_is_there_is_one_head(world: World, reference: Reference, image: Image) -> None:
    repository = world.client.repository(reference)

    assert repository.has(image.blob)
    assert repository.has(image.manifest.descriptor)
    assert not repository.has(Descriptor.of(mediatype.OCI_LAYER, b"absent"))
    assert {each.method for each in world.network.requests} == {"HEAD"}


def test_a_registry_that_has_something_else_is_not_believed(
    world: World, simulated: SimulatedRegistry, reference: Reference, image: Image
) -> None:
    other = str(Digest.of(b"other"))
    simulated.faults.add(Fault(actions.ChangeHeaders(set={"Docker-Content-Digest": other}), method="HEAD"))

    with pytest.raises(ContentMismatch):
        world.client.repository(reference).has(image.blob)


def test_an_image_is_copied_from_registry_to_registry(
    tmp_path: Path, simulated: SimulatedRegistry, image: Image
) -> None:
    other = SimulatedRegistry(tmp_path / "other")
    world = World({HOST: simulated, "https://other.example": other}, Settings())
    source = world.client.repository(Reference.parse(NAME))
    target = world.client.repository(Reference.parse("other.example/copy"), actions=PUSH)

    root = source.resolve("latest")
    copy(source, target, root)
    target.tag(root, "v1")

    assert target.resolve("v1") == root
    with target.fetch(image.blob) as stream:
        assert drain(VerifyingReader(stream, image.blob)) == image.layer


def test_a_manifest_of_other_bytes_is_not_pushed(world: World, reference: Reference, image: Image) -> None:
    repository = world.client.repository(reference, actions=PUSH)

    with pytest.raises(ContentMismatch):
        repository.push(image.manifest.descriptor, partial(opened_bytes, image.manifest.raw + b" "))
    assert world.network.requests == []


def test_a_manifest_that_no_registry_would_take_is_not_sent(world: World, reference: Reference) -> None:
    descriptor = Descriptor(mediatype.OCI_MANIFEST, Digest.of(b""), MAX_DOCUMENT + 1)

    with pytest.raises(LimitExceeded):
        world.client.repository(reference, actions=PUSH).push(descriptor, partial(opened_bytes, b""))
    assert world.network.requests == []


def test_a_registry_that_takes_a_manifest_under_another_digest_is_not_believed(
    world: World, simulated: SimulatedRegistry, reference: Reference, image: Image
) -> None:
    other = str(Digest.of(b"other"))
    simulated.faults.add(Fault(actions.ChangeHeaders(set={"Docker-Content-Digest": other}), method="PUT"))

    with pytest.raises(ContentMismatch, match="took it as"):
        world.client.repository(reference, actions=PUSH).push(
            image.manifest.descriptor, partial(opened_bytes, image.manifest.raw)
        )


def test_a_manifest_named_by_sha512_is_tagged_though_the_registry_calls_it_by_sha256(
    world: World, reference: Reference, image: Image
) -> None:
    raw = image.manifest.raw
    descriptor = Descriptor(mediatype.OCI_MANIFEST, Digest.of(raw, "sha512"), len(raw))
    repository = world.client.repository(reference, actions=PUSH)

    repository.push(descriptor, partial(opened_bytes, raw))
    repository.tag(descriptor, "other")

    assert repository.has(descriptor)
    assert repository.resolve("other") == image.manifest.descriptor


def test_tags_come_page_by_page(
    world: World,
    simulated: SimulatedRegistry,
    reference: Reference,
    image: Image,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listing, "PAGE_LENGTH", 2)
    for number in range(4):
        image.put_into(simulated, tag=f"v{number}")

    assert list(world.client.repository(reference).tags()) == ["latest", "v0", "v1", "v2", "v3"]
    assert len(world.network.requests) == 3


def test_a_list_without_end_is_refused(
    world: World, simulated: SimulatedRegistry, reference: Reference
) -> None:
    link = {"Link": '</v2/team/app/tags/list?n=1000>; rel="next"'}
    simulated.faults.add(Fault(actions.ChangeHeaders(set=link), path_pattern="tags/list", times=None))

    with pytest.raises(LimitExceeded, match="no end"):
        list(world.client.repository(reference).tags())


def test_a_page_without_end_is_refused(
    world: World, simulated: SimulatedRegistry, reference: Reference
) -> None:
    simulated.faults.add(Fault(actions.Oversize(MAX_PAGE + 1), path_pattern="tags/list"))

    with pytest.raises(LimitExceeded):
        list(world.client.repository(reference).tags())


def test_a_list_does_not_go_on_at_another_host(
    world: World, simulated: SimulatedRegistry, reference: Reference
) -> None:
    link = {"Link": '<https://evil.example/v2/>; rel="next"'}
    simulated.faults.add(Fault(actions.ChangeHeaders(set=link), path_pattern="tags/list"))

    with pytest.raises(RegistryError, match="goes on at"):
        list(world.client.repository(reference).tags())


@pytest.mark.parametrize("body", [b"", b"[]", b'{"tags": "x"}', b'{"tags": [1]}'])
def test_a_malformed_list_is_a_typed_error(
    world: World, simulated: SimulatedRegistry, reference: Reference, body: bytes
) -> None:
    simulated.faults.add(Fault(actions.ReplaceBody(body), path_pattern="tags/list"))

    with pytest.raises(RegistryError):
        list(world.client.repository(reference).tags())


def test_no_tags_may_be_spelt_null(world: World, simulated: SimulatedRegistry, reference: Reference) -> None:
    simulated.faults.add(Fault(actions.ReplaceBody(b'{"tags": null}'), path_pattern="tags/list"))

    assert list(world.client.repository(reference).tags()) == []


@pytest.mark.parametrize("has_referrers", [True, False])
def test_referrers_are_found_with_the_api_and_without(
    tmp_path: Path, reference: Reference, image: Image, has_referrers: bool
) -> None:
    registry = SimulatedRegistry(tmp_path / "r", has_referrers=has_referrers)
    image.put_into(registry)
    world = World({HOST: registry}, Settings())
    repository = world.client.repository(reference, actions=PUSH)
    subject = image.manifest.descriptor
    pushed = []
    for kind in ("application/vnd.example.signature", "application/vnd.example.sbom"):
        empty = Descriptor.of(mediatype.OCI_EMPTY, b"{}")
        raw = dump(
            {
                **json.loads(build_manifest(empty, (empty,)).raw),
                "artifactType": kind,
                "subject": subject.to_json(),
                "annotations": {"kind": kind},
            }
        )
        repository.push(empty, partial(opened_bytes, b"{}"))
        referrer = parse(raw, mediatype.OCI_MANIFEST).descriptor
        repository.push(referrer, partial(opened_bytes, raw))
        repository.push(referrer, partial(opened_bytes, raw))
        pushed.append(referrer)

    everything = repository.referrers(subject)
    signatures = repository.referrers(subject, "application/vnd.example.signature")

    assert set(everything) == set(pushed)
    assert len(everything) == 2
    assert signatures == (pushed[0],)
    assert signatures[0].annotations == {"kind": "application/vnd.example.signature"}
    assert repository.referrers(image.blob) == ()


def test_an_index_refers_to_its_subject_too(tmp_path: Path, reference: Reference, image: Image) -> None:
    registry = SimulatedRegistry(tmp_path / "r", has_referrers=False)
    image.put_into(registry)
    repository = World({HOST: registry}, Settings()).client.repository(reference, actions=PUSH)
    subject = image.manifest.descriptor
    raw = dump(
        {**json.loads(build_index((subject,)).raw), "subject": subject.to_json(), "artifactType": "a/b"}
    )
    index = parse(raw, mediatype.OCI_INDEX).descriptor

    repository.push(index, partial(opened_bytes, raw))

    assert repository.referrers(subject, "a/b") == (index,)


def test_a_full_list_of_referrers_takes_no_more(tmp_path: Path, reference: Reference, image: Image) -> None:
    registry = SimulatedRegistry(tmp_path / "r", has_referrers=False)
    image.put_into(registry)
    repository = World({HOST: registry}, Settings()).client.repository(reference, actions=PUSH)
    subject = image.manifest.descriptor
    full = build_index((image.blob,) * MAX_MANIFESTS)
    stored = StoredManifest(full.media_type, full.descriptor.digest, full.raw)
    registry.storage.add_manifest("team/app", stored, fallback_tag(subject.digest))
    raw = dump({**json.loads(image.manifest.raw), "subject": subject.to_json()})

    with pytest.raises(LimitExceeded, match="referrers"):
        repository.push(parse(raw, mediatype.OCI_MANIFEST).descriptor, partial(opened_bytes, raw))


def test_a_filter_that_the_registry_ignores_is_applied_here(
    world: World, simulated: SimulatedRegistry, reference: Reference, image: Image
) -> None:
    entry = {**image.blob.to_json(), "artifactType": "application/other"}
    simulated.faults.add(Fault(actions.ReplaceBody(dump({"manifests": [entry]})), path_pattern="referrers"))

    assert world.client.repository(reference).referrers(image.manifest.descriptor, "application/wanted") == ()


@pytest.mark.parametrize("body", [b'{"manifests": [1]}', b'{"manifests": 1}', b"x"])
def test_malformed_referrers_are_a_typed_error(
    world: World, simulated: SimulatedRegistry, reference: Reference, image: Image, body: bytes
) -> None:
    simulated.faults.add(Fault(actions.ReplaceBody(body), path_pattern="referrers"))

    with pytest.raises(RegistryError):
        world.client.repository(reference).referrers(image.manifest.descriptor)


def test_a_foreign_answer_to_everything_is_never_a_traceback(reference: Reference, image: Image) -> None:
    html = SimulatedHost(
        lambda _request: Answer(200, {"Content-Type": "text/html"}, (b"<html>sign in</html>",))
    )
    repository = World({HOST: html}, Settings()).client.repository(reference, actions=PUSH)

    with pytest.raises(LstoreError):
        repository.resolve("latest")
    with pytest.raises(LstoreError):
        read_document(repository, image.manifest.descriptor)
    with pytest.raises(LstoreError):
        list(repository.tags())
    with pytest.raises(LstoreError), repository.fetch(image.blob) as stream:
        drain(stream)
    with pytest.raises(LstoreError):
        repository.referrers(image.manifest.descriptor)
