"""Downloads that mend themselves, on a simulated network."""

from dataclasses import replace
from pathlib import Path

import pytest

from fixtures.network import SimulatedRegistry
from fixtures.registry import Account, Bearer, Fault, Lifetime, actions
from fixtures.registry.exchange import Delivery, Endpoint, Request, Response
from fixtures.registry.faults import Action
from layerstore.content import VerifyingReader
from layerstore.errors import ContentMismatch, LstoreError, RegistryError, Unreachable
from layerstore.oci import mediatype
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.reference import Reference
from registry_client.download import MIN_PROGRESS
from registry_client.retry import RetryPolicy
from registry_client.settings import Settings
from tests.registry_client.world import HOST, Image, World, drain, pattern


def download(world: World, reference: Reference, descriptor: Descriptor, offset: int = 0) -> bytes:
    with world.client.repository(reference).fetch(descriptor, offset) as stream:
        return drain(stream)


def ranges(world: World) -> list[str | None]:
    return [each.headers.get("Range") for each in world.network.sent("GET", "/blobs/")]


@pytest.mark.parametrize("is_reset", [False, True])
def test_a_broken_download_goes_on_where_it_broke(
    world: World, simulated: SimulatedRegistry, reference: Reference, image: Image, is_reset: bool
) -> None:
    simulated.faults.add(Fault(actions.Truncate(100_000, is_reset=is_reset), method="GET", times=2))

    assert download(world, reference, image.blob) == image.layer
    assert ranges(world) == [None, "bytes=100000-", "bytes=200000-"]


def test_a_download_from_an_offset_goes_on_where_it_broke(
    world: World, simulated: SimulatedRegistry, reference: Reference, image: Image
) -> None:
    simulated.faults.add(Fault(actions.Truncate(1000), method="GET"))

    assert download(world, reference, image.blob, 50_000) == image.layer[50_000:]
    assert ranges(world) == ["bytes=50000-", "bytes=51000-"]


def test_a_server_that_ignores_ranges_is_read_up_to_the_place(
    world: World, simulated: SimulatedRegistry, reference: Reference, image: Image
) -> None:
    simulated.faults.add(Fault(actions.Truncate(100_000), method="GET"))
    simulated.faults.add(Fault(actions.ReplaceRange(), method="GET"))

    assert download(world, reference, image.blob) == image.layer


def test_a_break_within_what_is_skipped_is_mended_too(
    world: World, simulated: SimulatedRegistry, reference: Reference, image: Image
) -> None:
    def break_within_the_prefix(request: Request, serve: Endpoint) -> Response:
        return actions.Truncate(10)(request.with_header("Range", None), serve)

    simulated.faults.add(Fault(break_within_the_prefix, method="GET"))

    assert download(world, reference, image.blob, 1000) == image.layer[1000:]


def test_a_body_without_length_is_read_to_the_blobs_size(
    world: World, simulated: SimulatedRegistry, reference: Reference, image: Image
) -> None:
    simulated.faults.add(Fault(actions.WithoutLength(), method="GET", times=None))

    assert download(world, reference, image.blob) == image.layer
    assert download(world, reference, image.blob, 1000) == image.layer[1000:]


def cut_without_length(request: Request, serve: Endpoint) -> Response:
    """The whole blob, whatever the range, of unknown length, and cut."""
    whole = serve(request.with_header("Range", None))
    return replace(whole, delivery=Delivery(stop_after=150_000, has_length=False))


@pytest.mark.parametrize("offset", [0, 100_000, 200_000])
def test_an_end_that_cannot_be_told_from_a_break_is_taken_for_one_before_the_blobs_size(
    world: World, simulated: SimulatedRegistry, reference: Reference, image: Image, offset: int
) -> None:
    simulated.faults.add(Fault(cut_without_length, method="GET"))

    assert download(world, reference, image.blob, offset) == image.layer[offset:]
    assert len(ranges(world)) == 2


def test_a_connection_that_brings_nothing_ends_patience(
    world: World, simulated: SimulatedRegistry, reference: Reference, image: Image
) -> None:
    simulated.faults.add(Fault(actions.Truncate(0), method="GET", times=None))

    with pytest.raises(Unreachable):
        download(world, reference, image.blob)
    assert len(ranges(world)) == RetryPolicy().attempts


def test_a_connection_that_brings_one_byte_a_time_ends_patience(
    world: World, simulated: SimulatedRegistry, reference: Reference, image: Image
) -> None:
    simulated.faults.add(Fault(actions.Truncate(1), method="GET", times=None))

    with pytest.raises(Unreachable):
        download(world, reference, image.blob)
    assert len(ranges(world)) == RetryPolicy().attempts


def test_progress_is_forgiven_any_number_of_breaks(
    world: World, simulated: SimulatedRegistry, reference: Reference
) -> None:
    data = pattern(20 * MIN_PROGRESS)
    simulated.storage.add_blob("team/app", data)
    simulated.faults.add(Fault(actions.Truncate(MIN_PROGRESS), method="GET", times=None))

    assert download(world, reference, Descriptor.of(mediatype.OCI_LAYER, data)) == data


@pytest.mark.parametrize(
    ("action", "offset"),
    [
        (actions.Status(503), 0),
        (actions.Status(500), 10),
        (actions.Status(408), 0),
        (actions.too_many_requests(), 0),
        (actions.Disconnect(), 0),
        (actions.Disconnect(is_reset=True), 10),
    ],
)
def test_passing_trouble_is_waited_out(
    world: World,
    simulated: SimulatedRegistry,
    reference: Reference,
    image: Image,
    action: Action,
    offset: int,
) -> None:
    simulated.faults.add(Fault(action, method="GET", times=3))

    assert download(world, reference, image.blob, offset) == image.layer[offset:]
    assert len(world.clock.slept) == 3
    assert len(world.notes.lines) == 3


def test_trouble_that_does_not_pass_is_one_typed_error(
    world: World, simulated: SimulatedRegistry, reference: Reference, image: Image
) -> None:
    simulated.faults.add(Fault(actions.Status(503), method="GET", times=None))

    with pytest.raises(RegistryError, match="answered 503") as caught:
        download(world, reference, image.blob)
    assert caught.value.status == 503
    assert caught.value.is_temporary


def test_retry_after_is_obeyed(
    world: World, simulated: SimulatedRegistry, reference: Reference, image: Image
) -> None:
    simulated.faults.add(Fault(actions.too_many_requests(17), method="GET"))

    assert download(world, reference, image.blob) == image.layer
    assert world.clock.slept == [17]


def test_a_rate_limit_that_lasts_too_long_is_named_at_once(
    world: World, simulated: SimulatedRegistry, reference: Reference, image: Image
) -> None:
    simulated.faults.add(Fault(actions.too_many_requests(21_600), method="GET", times=None))

    with pytest.raises(RegistryError, match=r"rate limit of registry\.example reached"):
        download(world, reference, image.blob)
    assert world.clock.slept == []


@pytest.mark.parametrize("by", [-1, 1])
def test_a_blob_of_another_size_is_refused_before_it_is_read(
    world: World, simulated: SimulatedRegistry, reference: Reference, image: Image, by: int
) -> None:
    simulated.faults.add(Fault(actions.WrongLength(by), method="GET", times=None))

    with pytest.raises(ContentMismatch):
        download(world, reference, image.blob)


def test_a_blob_that_does_not_end_is_refused(
    world: World, simulated: SimulatedRegistry, reference: Reference, image: Image
) -> None:
    def endless(request: Request, serve: Endpoint) -> Response:
        return actions.WithoutLength()(request, lambda each: actions.Oversize(400_000)(each, serve))

    simulated.faults.add(Fault(endless, method="GET", times=None))

    with pytest.raises(ContentMismatch, match="longer"):
        download(world, reference, image.blob)


def test_a_blob_of_other_bytes_is_found_out_by_who_reads(
    world: World, simulated: SimulatedRegistry, reference: Reference, image: Image
) -> None:
    simulated.faults.add(Fault(actions.Corrupt(150_000), method="GET", times=None))

    with (
        pytest.raises(ContentMismatch),
        world.client.repository(reference).fetch(image.blob) as stream,
    ):
        drain(VerifyingReader(stream, image.blob))


@pytest.mark.parametrize(
    "action",
    [
        actions.ChangeHeaders(drop=("Content-Range",)),
        actions.ChangeHeaders(set={"Content-Range": "bytes 1000-1/1"}),
        actions.ChangeHeaders(set={"Content-Range": "chapters 1-2"}),
        actions.Status(416),
    ],
)
def test_another_part_than_the_one_asked_for_is_refused(
    world: World, simulated: SimulatedRegistry, reference: Reference, image: Image, action: Action
) -> None:
    simulated.faults.add(Fault(action, method="GET", times=None))

    with pytest.raises((RegistryError, ContentMismatch)):
        download(world, reference, image.blob, 1000)


@pytest.mark.parametrize("value", ["bytes=0-", "bytes=2000-"])
def test_a_part_from_another_byte_is_refused_before_it_is_read(
    world: World, simulated: SimulatedRegistry, reference: Reference, image: Image, value: str
) -> None:
    simulated.faults.add(Fault(actions.ReplaceRange(value), method="GET", times=None))

    with pytest.raises(RegistryError, match="it came from byte"):
        download(world, reference, image.blob, 1000)


@pytest.mark.parametrize("how", ["revoked", "used up"])
def test_a_token_that_ends_midway_is_replaced_and_the_download_goes_on(
    tmp_path: Path, reference: Reference, image: Image, how: str
) -> None:
    bearer = Bearer(Account("alice", "secret"), is_anonymous_allowed=True)
    registry = SimulatedRegistry(tmp_path, auth=bearer)
    image.put_into(registry)
    world = World({HOST: registry}, Settings())
    bearer.realm = f"{HOST}/token"
    if how == "used up":
        bearer.lifetime = Lifetime(uses=1)
    repository = world.client.repository(reference)
    repository.resolve("latest")
    registry.faults.add(
        Fault(actions.Truncate(100_000), method="GET", path_pattern="/blobs/", times=2, skip=1)
    )

    with repository.fetch(image.blob) as stream:
        start = stream.read(1000)
        if how == "revoked":
            bearer.expire_tokens()
        rest = drain(stream)

    assert start + rest == image.layer


def test_a_redirected_download_is_resumed_from_the_registry_and_keeps_its_secrets(
    tmp_path: Path, reference: Reference, image: Image
) -> None:
    bearer = Bearer(is_anonymous_allowed=True)
    registry = SimulatedRegistry(tmp_path / "registry", auth=bearer)
    storage = SimulatedRegistry(tmp_path / "registry")
    image.put_into(registry)
    world = World({HOST: registry, "https://cdn.example": storage}, Settings())
    registry.faults.add(
        Fault(actions.Redirect("https://cdn.example"), method="GET", path_pattern="/blobs/", times=None)
    )
    storage.faults.add(Fault(actions.Truncate(100_000), method="GET"))

    assert download(world, reference, image.blob) == image.layer
    assert world.network.authorization("cdn.example") == [None, None]
    assert [each.headers.get("Range") for each in world.network.sent("GET", "cdn.example")] == [
        None,
        "bytes=100000-",
    ]


def test_redirects_in_a_circle_end(
    world: World, simulated: SimulatedRegistry, reference: Reference, image: Image
) -> None:
    simulated.faults.add(Fault(actions.Redirect(HOST), method="GET", times=None))

    with pytest.raises(LstoreError, match="redirects more than"):
        download(world, reference, image.blob)
