"""Uploads: mounted, whole, in chunks, resumed. On a simulated network."""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from fixtures.network import SimulatedRegistry
from fixtures.registry import Account, Basic, Bearer, Fault, actions
from fixtures.registry.exchange import Endpoint, Request, Response
from fixtures.registry.faults import Action
from layerstore.content import Readable, opened_bytes
from layerstore.errors import (
    ContentMismatch,
    LimitExceeded,
    LstoreError,
    RegistryError,
    Unauthorized,
    Unreachable,
)
from layerstore.oci import mediatype
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.digest import Digest
from layerstore.oci.reference import Reference
from registry_client.docker_config import Credential
from registry_client.retry import RetryPolicy
from registry_client.scope import PUSH
from registry_client.settings import Settings
from registry_client.upload import CHUNK_SIZE
from tests.registry_client.world import HOST, World, pattern

DATA = pattern(300_000)
BLOB = Descriptor.of(mediatype.OCI_LAYER, DATA)


class Content:
    """Some bytes, and the offsets at which they were opened."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.offsets: list[int] = []

    def __call__(self, offset: int) -> AbstractContextManager[Readable]:
        self.offsets.append(offset)
        return opened_bytes(self._data, offset)


class Alice:
    """One user everywhere."""

    def credential(self, registry: str, repository: str) -> Credential:
        return Credential("alice", "secret")


@pytest.fixture
def empty(tmp_path: Path) -> SimulatedRegistry:
    """A registry with nothing in it."""
    return SimulatedRegistry(tmp_path / "empty")


@pytest.fixture
def world(empty: SimulatedRegistry) -> World:
    """That registry, alone."""
    return World({HOST: empty}, Settings())


def push(
    world: World,
    reference: Reference,
    content: Content,
    descriptor: Descriptor = BLOB,
    *,
    mounts: Iterable[str] = (),
) -> None:
    repository = world.client.repository(reference, actions=PUSH, candidates=lambda _digest: mounts)
    repository.push(descriptor, content)


def stored(registry: SimulatedRegistry, descriptor: Descriptor = BLOB) -> bytes | None:
    path = registry.storage.find_blob("team/app", descriptor.digest)
    return None if path is None else path.read_bytes()


def methods(world: World) -> list[str]:
    return [each.method for each in world.network.requests]


def test_a_blob_goes_up_in_one_piece(world: World, empty: SimulatedRegistry, reference: Reference) -> None:
    push(world, reference, Content(DATA))

    assert stored(empty) == DATA
    assert methods(world) == ["HEAD", "POST", "PUT"]
    assert empty.uploads.open_sessions == 0


def test_an_empty_blob_goes_up_too(world: World, empty: SimulatedRegistry, reference: Reference) -> None:
    nothing = Descriptor.of(mediatype.OCI_LAYER, b"")

    push(world, reference, Content(b""), nothing)

    assert stored(empty, nothing) == b""


def test_a_blob_that_is_there_is_not_read(
    world: World, empty: SimulatedRegistry, reference: Reference
) -> None:
    empty.storage.add_blob("team/app", DATA)
    content = Content(DATA)

    push(world, reference, content)

    assert content.offsets == []
    assert methods(world) == ["HEAD"]


def test_who_just_asked_whether_it_is_there_does_not_ask_again(world: World, reference: Reference) -> None:
    repository = world.client.repository(reference, actions=PUSH)

    assert not repository.has(BLOB)
    repository.push(BLOB, Content(DATA))

    assert methods(world) == ["HEAD", "POST", "PUT"]


def test_a_blob_of_a_neighbour_is_mounted(
    world: World, empty: SimulatedRegistry, reference: Reference
) -> None:
    empty.storage.add_blob("team/base", DATA)
    content = Content(DATA)

    push(world, reference, content, mounts=["team/base"])

    assert stored(empty) == DATA
    assert content.offsets == []
    assert world.notes.phases == [(BLOB.digest.short, "mounted")]
    (post,) = world.network.sent("POST", "mount=")
    assert "from=team%2Fbase" in post.url


def test_a_mount_that_fails_becomes_an_upload(
    world: World, empty: SimulatedRegistry, reference: Reference
) -> None:
    push(world, reference, Content(DATA), mounts=["team/base"])

    assert stored(empty) == DATA
    assert methods(world) == ["HEAD", "POST", "PUT"]


def test_a_mount_that_is_refused_becomes_an_upload(
    world: World, empty: SimulatedRegistry, reference: Reference
) -> None:
    empty.faults.add(Fault(actions.Status(400, "UNSUPPORTED"), method="POST", path_pattern="mount="))

    push(world, reference, Content(DATA), mounts=["team/base"])

    assert stored(empty) == DATA


def test_a_mount_asks_for_both_scopes(tmp_path: Path, reference: Reference) -> None:
    bearer = Bearer(Account("alice", "secret"))
    bearer.realm = f"{HOST}/token"
    registry = SimulatedRegistry(tmp_path, auth=bearer)
    registry.storage.add_blob("team/base", DATA)
    world = World({HOST: registry}, Settings(), Alice())

    push(world, reference, Content(DATA), mounts=["team/base"])

    assert stored(registry) == DATA
    scopes = world.network.sent("GET", "/token")[-1].url
    assert "repository%3Ateam%2Fapp%3Apull%2Cpush" in scopes
    assert "repository%3Ateam%2Fbase%3Apull" in scopes


def test_a_neighbour_that_we_may_not_read_is_no_obstacle(tmp_path: Path, reference: Reference) -> None:
    bearer = Bearer(Account("alice", "secret", repositories="team/app"))
    bearer.realm = f"{HOST}/token"
    registry = SimulatedRegistry(tmp_path, auth=bearer)
    registry.storage.add_blob("secret/base", DATA)
    world = World({HOST: registry}, Settings(), Alice())

    push(world, reference, Content(DATA), mounts=["secret/base"])

    assert stored(registry) == DATA


@pytest.mark.parametrize("after", [1, 100_000, 299_999])
def test_a_broken_upload_goes_on_where_the_registry_has_it(
    world: World, empty: SimulatedRegistry, reference: Reference, after: int
) -> None:
    empty.faults.add(Fault(actions.CutUpload(after), method="PUT"))
    content = Content(DATA)

    push(world, reference, content)

    assert stored(empty) == DATA
    # One byte cannot be told from none ("0-0"), so that upload starts afresh.
    assert content.offsets == [0, after if after > 1 else 0]


def test_an_upload_that_breaks_again_and_again_but_gets_on_succeeds(
    world: World, empty: SimulatedRegistry, reference: Reference
) -> None:
    empty.faults.add(Fault(actions.CutUpload(30_000), method="PUT"))
    empty.faults.add(Fault(actions.CutUpload(30_000), method="PATCH", times=8))

    push(world, reference, Content(DATA))

    assert stored(empty) == DATA


def test_an_upload_that_gets_nowhere_ends(
    world: World, empty: SimulatedRegistry, reference: Reference
) -> None:
    empty.faults.add(Fault(actions.CutUpload(0), method="PUT", times=None))

    with pytest.raises(Unreachable):
        push(world, reference, Content(DATA))
    assert len(world.clock.slept) == RetryPolicy().attempts - 1


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize(
    "action", [actions.Status(503), actions.Status(500), actions.Disconnect(is_reset=True)]
)
def test_passing_trouble_is_waited_out(
    world: World, empty: SimulatedRegistry, reference: Reference, method: str, action: Action
) -> None:
    empty.faults.add(Fault(action, method=method, times=3))

    push(world, reference, Content(DATA))

    assert stored(empty) == DATA
    assert len(world.clock.slept) == 3


def test_retry_after_is_obeyed_between_upload_steps(
    world: World, empty: SimulatedRegistry, reference: Reference
) -> None:
    empty.faults.add(Fault(actions.too_many_requests(11), method="PUT"))

    push(world, reference, Content(DATA))

    assert world.clock.slept == [11]


def test_an_upload_whose_answer_was_lost_is_found_to_be_there(
    world: World, empty: SimulatedRegistry, reference: Reference
) -> None:
    def answer_is_lost(request: Request, serve: Endpoint) -> Response:
        serve(request)
        return actions.Disconnect()(request, serve)

    empty.faults.add(Fault(answer_is_lost, method="PUT"))
    content = Content(DATA)

    push(world, reference, content)

    assert stored(empty) == DATA
    assert content.offsets == [0]


def test_a_session_that_the_registry_forgot_starts_afresh(
    world: World, empty: SimulatedRegistry, reference: Reference
) -> None:
    empty.faults.add(Fault(actions.Status(404, "BLOB_UPLOAD_UNKNOWN"), method="PUT"))
    empty.faults.add(Fault(actions.Status(404, "BLOB_UPLOAD_UNKNOWN"), method="GET"))

    push(world, reference, Content(DATA))

    assert stored(empty) == DATA
    assert methods(world).count("POST") == 2


def test_a_registry_that_lost_bytes_gets_them_again(
    world: World, empty: SimulatedRegistry, reference: Reference
) -> None:
    empty.faults.add(Fault(actions.CutUpload(100_000), method="PUT"))
    empty.faults.add(Fault(actions.LosePosition(empty.uploads, 50_000), method="PATCH"))
    content = Content(DATA)

    push(world, reference, content)

    assert stored(empty) == DATA
    assert content.offsets == [0, 100_000, 50_000]


@pytest.mark.parametrize("status", [405, 411, 413, 501])
def test_a_registry_that_takes_no_whole_blobs_gets_chunks(
    world: World, empty: SimulatedRegistry, reference: Reference, status: int
) -> None:
    empty.faults.add(Fault(actions.Status(status), method="PUT"))

    push(world, reference, Content(DATA))

    assert stored(empty) == DATA
    (patch,) = world.network.sent("PATCH", "/blobs/uploads/")
    assert patch.headers["Content-Range"] == "0-299999"


def test_a_registry_that_does_not_say_how_far_it_is_is_taken_to_have_it_all(
    world: World, empty: SimulatedRegistry, reference: Reference
) -> None:
    empty.faults.add(Fault(actions.Status(413), method="PUT"))
    empty.faults.add(Fault(actions.ChangeHeaders(drop=("Range",)), method="PATCH"))

    push(world, reference, Content(DATA))

    assert stored(empty) == DATA


def test_chunks_have_the_size_that_the_registry_asks_for(
    world: World, empty: SimulatedRegistry, reference: Reference
) -> None:
    data = bytes(CHUNK_SIZE) + b"after"
    empty.faults.add(Fault(actions.Status(413), method="PUT"))

    push(world, reference, Content(data), Descriptor.of(mediatype.OCI_LAYER, data))

    ranges = [each.headers["Content-Range"] for each in world.network.sent("PATCH", "/blobs/uploads/")]
    assert ranges == [f"0-{CHUNK_SIZE - 1}", f"{CHUNK_SIZE}-{CHUNK_SIZE + 4}"]


def test_a_larger_minimum_is_honoured(world: World, empty: SimulatedRegistry, reference: Reference) -> None:
    data = bytes(CHUNK_SIZE) + b"after"
    minimum = actions.ChangeHeaders(set={"OCI-Chunk-Min-Length": str(2 * CHUNK_SIZE)})
    empty.faults.add(Fault(minimum, method="POST", times=None))
    empty.faults.add(Fault(actions.Status(413), method="PUT"))

    push(world, reference, Content(data), Descriptor.of(mediatype.OCI_LAYER, data))

    assert len(world.network.sent("PATCH", "/blobs/uploads/")) == 1


def test_a_blob_that_is_too_large_even_in_chunks_is_one_typed_error(
    world: World, empty: SimulatedRegistry, reference: Reference
) -> None:
    empty.faults.add(Fault(actions.Status(413), method="PUT", times=None))
    empty.faults.add(Fault(actions.Status(413), method="PATCH", times=None))

    with pytest.raises(LimitExceeded):
        push(world, reference, Content(DATA))


def test_content_that_is_not_what_its_digest_says_is_refused_and_not_kept(
    world: World, empty: SimulatedRegistry, reference: Reference
) -> None:
    with pytest.raises(ContentMismatch):
        push(world, reference, Content(DATA[:-1] + b"x"))
    assert stored(empty) is None


@pytest.mark.parametrize(
    ("action", "error"),
    [
        (actions.Status(403, "DENIED"), Unauthorized),
        (actions.Status(401), Unauthorized),
        (actions.Status(418), RegistryError),
        (actions.ChangeHeaders(drop=("Location",)), RegistryError),
        (actions.ChangeHeaders(set={"Location": "http://127.0.0.1/evil"}), RegistryError),
        (actions.ChangeHeaders(set={"Location": "https://user@evil.example/"}), RegistryError),
    ],
)
def test_an_upload_that_cannot_begin_is_one_typed_error(
    world: World, empty: SimulatedRegistry, reference: Reference, action: Action, error: type[LstoreError]
) -> None:
    empty.faults.add(Fault(action, method="POST", times=None))

    with pytest.raises(error):
        push(world, reference, Content(DATA))


def test_a_location_at_another_host_gets_no_credentials(tmp_path: Path, reference: Reference) -> None:
    bearer = Bearer(Account("alice", "secret"))
    bearer.realm = f"{HOST}/token"
    registry = SimulatedRegistry(tmp_path / "r", auth=bearer)
    elsewhere = SimulatedRegistry(tmp_path / "e", auth=Basic(Account("alice", "secret")))
    world = World({HOST: registry, "https://upload.example": elsewhere}, Settings(), Alice())
    location = {"Location": "https://upload.example/v2/team/app/blobs/uploads/1?state=x"}
    registry.faults.add(Fault(actions.ChangeHeaders(set=location), method="POST", times=None))

    with pytest.raises(Unauthorized):
        push(world, reference, Content(DATA))
    assert world.network.authorization("upload.example")
    assert set(world.network.authorization("upload.example")) == {None}


def test_a_token_that_ends_in_the_middle_of_an_upload_is_replaced(
    tmp_path: Path, reference: Reference
) -> None:
    bearer = Bearer(Account("alice", "secret"))
    bearer.realm = f"{HOST}/token"
    registry = SimulatedRegistry(tmp_path, auth=bearer)
    world = World({HOST: registry}, Settings(), Alice())
    registry.faults.add(Fault(actions.CutUpload(100_000), method="PUT"))
    for method in ("PUT", "PATCH"):
        registry.faults.add(
            Fault(actions.Before(bearer.expire_tokens), method=method, path_pattern="uploads")
        )
    content = Content(DATA)

    push(world, reference, content)

    assert stored(registry) == DATA
    assert content.offsets == [0, 100_000, 100_000]


def test_sha512_blobs_go_up_too(world: World, empty: SimulatedRegistry, reference: Reference) -> None:
    blob = Descriptor(mediatype.OCI_LAYER, Digest.of(DATA, "sha512"), len(DATA))

    push(world, reference, Content(DATA), blob)

    assert stored(empty, blob) == DATA
