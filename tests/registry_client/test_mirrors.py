"""Mirrors: asked first, fallen back from, never written to, and strangers to the origin's credentials."""

from functools import partial
from pathlib import Path

import pytest

from fixtures.network import SimulatedHost, SimulatedRegistry
from fixtures.registry import Account, Basic, Fault, actions
from fixtures.registry.faults import Action
from layerstore.content import opened_bytes, read_document
from layerstore.errors import NotFound, Unreachable
from layerstore.oci.digest import Digest
from layerstore.oci.reference import Reference
from registry_client.docker_config import Credential
from registry_client.scope import PUSH
from registry_client.settings import from_toml
from tests.registry_client.world import Image, World, drain

HUB = "https://registry-1.docker.io"
FIRST, SECOND = "https://first.example", "https://second.example"
SETTINGS = from_toml({"registry": {"docker.io": {"mirrors": [FIRST, f"{SECOND}/hub"]}}})
REFERENCE = Reference.parse("app")


class Keyring:
    """What we have for each registry."""

    def credential(self, registry: str, repository: str) -> Credential | None:
        return {
            "docker.io": Credential("hub", "hub-secret"),
            "first.example": Credential("first", "first-secret"),
        }.get(registry)


@pytest.fixture
def hub(tmp_path: Path, image: Image) -> SimulatedRegistry:
    registry = SimulatedRegistry(tmp_path / "hub")
    image.put_into(registry, "library/app")
    return registry


@pytest.fixture
def first(tmp_path: Path, image: Image) -> SimulatedRegistry:
    registry = SimulatedRegistry(tmp_path / "first")
    image.put_into(registry, "library/app")
    return registry


@pytest.fixture
def second(tmp_path: Path, image: Image) -> SimulatedRegistry:
    registry = SimulatedRegistry(tmp_path / "second")
    image.put_into(registry, "hub/library/app")
    return registry


def hosts(world: World) -> list[str]:
    return [each.url.split("/")[2] for each in world.network.requests]


def pull(world: World, image: Image) -> None:
    repository = world.client.repository(REFERENCE)
    root = repository.resolve("latest")
    assert read_document(repository, root) == image.manifest.raw
    with repository.fetch(image.blob) as stream:
        assert drain(stream) == image.layer


def test_the_first_mirror_serves_everything(
    hub: SimulatedRegistry, first: SimulatedRegistry, image: Image
) -> None:
    world = World({HUB: hub, FIRST: first}, SETTINGS)

    pull(world, image)

    assert set(hosts(world)) == {"first.example"}
    assert world.notes.lines == []


def test_a_mirrors_prefix_stands_before_the_repository(
    hub: SimulatedRegistry, second: SimulatedRegistry, image: Image
) -> None:
    world = World({HUB: hub, SECOND: second}, SETTINGS)

    pull(world, image)

    assert "registry-1.docker.io" not in hosts(world)
    assert world.network.sent("GET", f"{SECOND}/v2/hub/library/app/blobs/")


@pytest.mark.parametrize(
    "action",
    [
        actions.Status(404, "MANIFEST_UNKNOWN"),
        actions.Status(401),
        actions.Status(403),
        actions.Status(500),
        actions.Status(503),
        actions.too_many_requests(5),
        actions.Disconnect(),
        actions.Disconnect(is_reset=True),
        actions.ReplaceBody(b"<html>"),
        actions.Redirect("http://127.0.0.1:1"),
        actions.challenge('Bearer realm="http://127.0.0.1/token"'),
    ],
)
def test_whatever_a_mirror_does_wrong_the_next_is_asked_without_waiting(
    hub: SimulatedRegistry, first: SimulatedRegistry, image: Image, action: Action
) -> None:
    first.faults.add(Fault(action, times=None))
    world = World({HUB: hub, FIRST: first}, SETTINGS)

    pull(world, image)

    assert "registry-1.docker.io" in hosts(world)
    assert world.clock.slept == []
    assert any("first.example" in line for line in world.notes.lines)


def test_a_mirror_that_cannot_be_reached_is_not_asked_for_every_blob(
    hub: SimulatedRegistry, image: Image
) -> None:
    world = World({HUB: hub}, SETTINGS)

    pull(world, image)

    assert hosts(world).count("first.example") == 1
    assert hosts(world).count("second.example") == 1


@pytest.mark.parametrize(
    "action",
    [
        actions.Corrupt(20),
        actions.ReplaceBody(b"{}"),
        actions.ChangeHeaders(set={"Docker-Content-Digest": str(Digest.of(b"wrong"))}),
        actions.ChangeHeaders(
            set={"Docker-Content-Digest": str(Digest.of(b"wrong"))}, drop=("Content-Type",)
        ),
    ],
)
def test_a_pull_by_digest_gets_those_bytes_whatever_a_mirror_answers(
    hub: SimulatedRegistry, first: SimulatedRegistry, image: Image, action: Action
) -> None:
    digest = image.manifest.descriptor.digest
    first.faults.add(Fault(action, path_pattern="manifests", times=None))
    world = World({HUB: hub, FIRST: first}, SETTINGS)
    repository = world.client.repository(REFERENCE)

    root = repository.resolve(str(digest))

    assert root.digest == digest
    assert read_document(repository, root) == image.manifest.raw


def test_a_manifest_that_a_mirror_answers_wrongly_is_read_from_the_next(
    hub: SimulatedRegistry, first: SimulatedRegistry, image: Image
) -> None:
    first.faults.add(Fault(actions.Corrupt(20), path_pattern="manifests", times=None))
    world = World({HUB: hub, FIRST: first}, SETTINGS)

    assert read_document(world.client.repository(REFERENCE), image.manifest.descriptor) == image.manifest.raw


def test_a_blob_of_another_size_is_taken_from_the_next(
    hub: SimulatedRegistry, first: SimulatedRegistry, image: Image
) -> None:
    first.faults.add(Fault(actions.WrongLength(1), method="GET", path_pattern="/blobs/", times=None))
    world = World({HUB: hub, FIRST: first}, SETTINGS)

    pull(world, image)


def test_a_blob_that_breaks_off_at_a_mirror_goes_on_at_the_next(
    hub: SimulatedRegistry, first: SimulatedRegistry, image: Image
) -> None:
    first.faults.add(Fault(actions.Truncate(100_000), method="GET", path_pattern="/blobs/", times=None))
    world = World({HUB: hub, FIRST: first}, SETTINGS)

    pull(world, image)

    (resumed,) = world.network.sent("GET", f"{HUB}/v2/library/app/blobs/")
    assert resumed.headers["Range"] == "bytes=100000-"


def test_what_no_host_has_is_the_origins_answer(hub: SimulatedRegistry, first: SimulatedRegistry) -> None:
    world = World({HUB: hub, FIRST: first}, SETTINGS)

    with pytest.raises(NotFound, match=r"^docker\.io/library/app:absent not found"):
        world.client.repository(REFERENCE).resolve("absent")


def test_nobody_reachable_is_the_origins_error() -> None:
    with pytest.raises(Unreachable, match="registry-1"):
        World({}, SETTINGS).client.repository(REFERENCE).resolve("latest")


def test_each_host_sees_its_own_credentials_only(tmp_path: Path, image: Image) -> None:
    def make(name: str, repository: str) -> SimulatedHost:
        auth = Basic(Account("hub", "hub-secret"), Account("first", "first-secret"))
        registry = SimulatedRegistry(tmp_path / name, auth=auth)
        image.put_into(registry, repository)
        return registry

    first, hub = make("f", "elsewhere"), make("h", "library/app")
    world = World({HUB: hub, FIRST: first}, SETTINGS, Keyring())

    pull(world, image)

    assert set(world.network.authorization("first.example")) == {
        None,
        Credential("first", "first-secret").basic,
    }
    assert set(world.network.authorization("docker.io")) == {None, Credential("hub", "hub-secret").basic}


def test_a_push_never_goes_to_a_mirror(
    hub: SimulatedRegistry, first: SimulatedRegistry, image: Image
) -> None:
    world = World({HUB: hub, FIRST: first}, SETTINGS)
    repository = world.client.repository(REFERENCE, actions=PUSH)

    repository.push(image.blob, partial(opened_bytes, image.layer))
    repository.push(image.manifest.descriptor, partial(opened_bytes, image.manifest.raw))
    repository.tag(image.manifest.descriptor, "v2")
    repository.resolve("v2")

    assert set(hosts(world)) == {"registry-1.docker.io"}
