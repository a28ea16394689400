"""The client put together: logins, searches, schemes, threads; over sockets where sockets matter."""

import socket
import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pytest

from fixtures.certificates import Authority
from fixtures.network import Anonymous, FakePace, Notes, SimulatedHost, SimulatedRegistry
from fixtures.registry import Account, Basic, Bearer, Fault, Lifetime, Registry, Tls, TokenServer, actions
from fixtures.registry.exchange import Response as Answer
from fixtures.registry.faults import Action
from layerstore.content import VerifyingReader, opened_bytes
from layerstore.copy import copy
from layerstore.errors import LstoreError, RegistryError, Unauthorized, Unreachable
from layerstore.oci.reference import Reference
from layerstore.tasks import run_all
from registry_client.client import Client
from registry_client.credentials import Credentials
from registry_client.docker_config import Credential
from registry_client.retry import Pace, RetryPolicy
from registry_client.scope import PUSH
from registry_client.settings import RegistrySettings, Settings
from tests.registry_client.world import HOST, Image, World, drain

ALICE = Account("alice", "secret")
GOOD, BAD = Credential("alice", "secret"), Credential("alice", "hunter2")


class Only:
    """One credential for one registry."""

    def __init__(self, registry: str, credential: Credential = GOOD) -> None:
        self._registry = registry
        self._credential = credential

    def credential(self, registry: str, repository: str) -> Credential | None:
        return self._credential if registry == self._registry else None


def connect(
    settings: Settings | None = None,
    credentials: Credentials | None = None,
    environment: Mapping[str, str] | None = None,
    *,
    notes: Notes | None = None,
) -> Client:
    return Client.over_network(
        settings or Settings(),
        credentials or Anonymous(),
        environment or {},
        progress=notes or Notes(),
        pace=FakePace().pace(),
    )


def round_trip(client: Client, address: str, image: Image) -> None:
    """Push the image and pull it back."""
    repository = client.repository(Reference.parse(f"{address}/team/app"), actions=PUSH)
    repository.push(image.blob, partial(opened_bytes, image.layer))
    repository.push(image.manifest.config, partial(opened_bytes, image.config))
    repository.push(image.manifest.descriptor, partial(opened_bytes, image.manifest.raw))
    repository.tag(image.manifest.descriptor, "latest")
    assert repository.resolve("latest") == image.manifest.descriptor
    with repository.fetch(image.blob) as stream:
        assert drain(VerifyingReader(stream, image.blob)) == image.layer


def simulated_with(tmp_path: Path, auth: Basic | Bearer) -> World:
    if isinstance(auth, Bearer):
        auth.realm = f"{HOST}/token"
    return World({HOST: SimulatedRegistry(tmp_path, auth=auth)}, Settings())


@pytest.mark.parametrize("auth", [Basic(ALICE), Bearer(ALICE)])
def test_a_login_is_checked(tmp_path: Path, auth: Basic | Bearer) -> None:
    world = simulated_with(tmp_path, auth)

    world.client.check_login("registry.example", GOOD)
    with pytest.raises(Unauthorized) as caught:
        world.client.check_login("registry.example", BAD)

    assert caught.value.hint == "lstore login registry.example"
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "error"), [(401, Unauthorized), (404, RegistryError), (500, RegistryError)]
)
def test_a_login_to_what_is_no_registry_is_a_typed_error(
    world: World, simulated: SimulatedRegistry, status: int, error: type[LstoreError]
) -> None:
    simulated.faults.add(Fault(actions.Status(status), times=None))

    with pytest.raises(error):
        world.client.check_login("registry.example", GOOD)


def test_a_search_uses_dockers_api(world: World) -> None:
    (found,) = world.client.search("registry.example", "app")

    assert found.name == "team/app"
    assert found.stars == len("team/app")
    assert world.network.requests[0].url.startswith(f"{HOST}/v1/search?q=app&n=25")


def test_docker_hub_is_searched_at_its_index(simulated: SimulatedRegistry) -> None:
    world = World({"https://index.docker.io": simulated}, Settings())

    assert [each.name for each in world.client.search("docker.io", "app")] == ["team/app"]


def test_a_registry_without_search_has_its_catalogue_searched(
    world: World, simulated: SimulatedRegistry, image: Image
) -> None:
    image.put_into(simulated, "other/thing")
    simulated.faults.add(Fault(actions.Status(404), path_pattern="/v1/", times=None))

    assert [each.name for each in world.client.search("registry.example", "app")] == ["team/app"]
    assert len(world.client.search("registry.example", "", limit=1)) == 1


def test_a_registry_without_either_says_so(world: World, simulated: SimulatedRegistry) -> None:
    simulated.faults.add(Fault(actions.Status(404), times=None))

    with pytest.raises(RegistryError, match="neither docker's search nor a catalogue"):
        world.client.search("registry.example", "app")


@pytest.mark.parametrize("body", [b"", b"{", b'{"results": 1}', b'{"results": [{"star_count": -1}]}'])
def test_a_malformed_search_is_a_typed_error(body: bytes) -> None:
    host = SimulatedHost(lambda _request: Answer(200, {}, (body,)))

    with pytest.raises(LstoreError):
        World({HOST: host}, Settings()).client.search("registry.example", "app")


def test_a_loopback_registry_falls_back_to_http_untold(registry: Registry, image: Image) -> None:
    with connect() as client:
        round_trip(client, registry.address, image)


def test_a_loopback_registry_that_is_not_there_is_waited_for_and_then_named() -> None:
    with socket.socket() as listener, connect() as client:
        listener.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        address = f"127.0.0.1:{listener.getsockname()[1]}"

        with pytest.raises(Unreachable, match="connection refused"):
            client.check_login(address, GOOD)


def test_a_registry_that_comes_up_late_is_waited_for(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "r")
    pace = Pace(RetryPolicy(), lambda: 0.0, lambda: 0.0, lambda _seconds: registry.start())
    with registry:
        address = registry.address
        registry.stop()

        with Client.over_network(Settings(), Anonymous(), {}, pace=pace) as client:
            client.check_login(address, GOOD)

        assert registry.requests.count("GET", "^/v2/$") > 0


def test_a_loopback_registry_may_have_any_certificate(tmp_path: Path, image: Image) -> None:
    identity = Authority(tmp_path).server()

    with (
        Registry(tmp_path / "r", tls=Tls(identity.certificate, identity.key)) as registry,
        connect() as client,
    ):
        round_trip(client, registry.address, image)


def test_an_authority_named_in_the_settings_makes_loopback_strict(tmp_path: Path, image: Image) -> None:
    (tmp_path / "good").mkdir()
    (tmp_path / "bad").mkdir()
    good, bad = Authority(tmp_path / "good"), Authority(tmp_path / "bad")
    identity = good.server()

    with Registry(tmp_path / "r", tls=Tls(identity.certificate, identity.key)) as registry:
        for authority in (good, bad):
            settings = Settings({registry.address: RegistrySettings(ca=str(authority.certificate))})
            with connect(settings) as client:
                if authority is good:
                    round_trip(client, registry.address, image)
                else:
                    with pytest.raises(Unreachable, match="certificate"):
                        client.check_login(registry.address, GOOD)


def test_a_registry_that_wants_a_client_certificate_is_told_from_one_that_is_not_there(
    tmp_path: Path,
) -> None:
    authority = Authority(tmp_path)
    identity = authority.server()
    tls = Tls(identity.certificate, identity.key, authority.certificate)

    with Registry(tmp_path / "r", tls=tls) as registry, connect() as client:
        with pytest.raises(Unreachable, match="wants a client certificate") as caught:
            client.check_login(registry.address, GOOD)

        assert f"/etc/containers/certs.d/{registry.address}" in (caught.value.hint or "")


def test_a_users_certs_d_directory_is_trusted(tmp_path: Path, image: Image) -> None:
    authority = Authority(tmp_path)
    identity, client_identity = authority.server(), authority.client()
    tls = Tls(identity.certificate, identity.key, authority.certificate)

    with Registry(tmp_path / "r", tls=tls) as registry:
        directory = tmp_path / "home/.config/containers/certs.d" / registry.address
        directory.mkdir(parents=True)
        (directory / "ca.crt").write_bytes(authority.certificate.read_bytes())
        (directory / "client.cert").write_bytes(client_identity.certificate.read_bytes())
        (directory / "client.key").write_bytes(client_identity.key.read_bytes())
        with connect(environment={"HOME": str(tmp_path / "home")}) as client:
            round_trip(client, registry.address, image)


@pytest.mark.parametrize("kind", ["basic", "bearer", "token server", "short-lived tokens"])
def test_an_image_goes_there_and_back_whatever_the_registry_asks_for(
    tmp_path: Path, image: Image, kind: str
) -> None:
    bearer = Bearer(ALICE)
    if kind == "short-lived tokens":
        bearer.lifetime = Lifetime(uses=1)
    auth = Basic(ALICE) if kind == "basic" else bearer

    with Registry(tmp_path / "r", auth=auth) as registry, TokenServer(Bearer(ALICE)) as unused:
        server = TokenServer(bearer) if kind == "token server" else unused
        with connect(credentials=Only(registry.address)) as client:
            if kind == "token server":
                with server:
                    round_trip(client, registry.address, image)
                    assert registry.requests.count("GET", "^/token") == 0
            else:
                round_trip(client, registry.address, image)


def test_a_private_image_without_login_says_what_to_do(tmp_path: Path) -> None:
    with Registry(tmp_path / "r", auth=Basic(ALICE)) as registry, connect() as client:
        with pytest.raises(Unauthorized, match="repository does not exist or may require login") as caught:
            client.repository(Reference.parse(f"{registry.address}/team/app")).resolve("latest")

        assert caught.value.hint == f"lstore login {registry.address}"


@pytest.mark.parametrize(
    "action",
    [
        actions.Status(503),
        actions.too_many_requests(3),
        actions.Truncate(100_000),
        actions.Truncate(100_000, is_reset=True),
        actions.Disconnect(),
        actions.Disconnect(is_reset=True),
    ],
)
def test_a_download_over_sockets_survives(registry: Registry, image: Image, action: Action) -> None:
    with connect() as client:
        round_trip(client, registry.address, image)
        registry.faults.add(Fault(action, method="GET", path_pattern="/blobs/", times=2))

        with client.repository(Reference.parse(f"{registry.address}/team/app")).fetch(
            image.blob, 7
        ) as stream:
            assert drain(stream) == image.layer[7:]


@pytest.mark.parametrize("after", [0, 100_000])
def test_an_upload_over_sockets_survives(registry: Registry, image: Image, after: int) -> None:
    registry.faults.add(Fault(actions.CutUpload(after), method="PUT", path_pattern="/blobs/", times=2))

    with connect() as client:
        round_trip(client, registry.address, image)


def test_a_redirect_to_another_port_carries_no_credentials(tmp_path: Path, image: Image) -> None:
    with (
        Registry(tmp_path / "shared", auth=Basic(ALICE)) as registry,
        Registry(tmp_path / "shared") as storage,
        connect(credentials=Only(registry.address)) as client,
    ):
        registry.faults.add(
            Fault(actions.Redirect(storage.url), method="GET", path_pattern="/blobs/", times=None)
        )
        round_trip(client, registry.address, image)

        assert len(storage.requests) > 0
        assert {entry.header("Authorization") for entry in storage.requests} == {None}


def test_threads_share_one_token_and_each_blob_comes_once(tmp_path: Path) -> None:
    images = [Image(layer=bytes([number]) * 200_000) for number in range(8)]
    bearer = Bearer(ALICE)

    with (
        Registry(tmp_path / "r", auth=bearer) as registry,
        connect(credentials=Only(registry.address)) as client,
    ):
        repository = client.repository(Reference.parse(f"{registry.address}/team/app"), actions=PUSH)
        repository.push(images[0].manifest.config, partial(opened_bytes, images[0].config))
        run_all(
            [partial(repository.push, each.blob, partial(opened_bytes, each.layer)) for each in images],
            limit=8,
        )

        def fetch(each: Image) -> bool:
            with repository.fetch(each.blob) as stream:
                return drain(stream) == each.layer

        assert all(run_all([partial(fetch, each) for each in images], limit=8))
        assert registry.requests.count("GET", "^/token") == 1
        assert registry.requests.count("GET", "/blobs/sha256:") == 8


def test_an_image_is_copied_between_two_registries(tmp_path: Path, registry: Registry, image: Image) -> None:
    with Registry(tmp_path / "other") as other, connect() as client:
        round_trip(client, registry.address, image)
        target = client.repository(Reference.parse(f"{other.address}/copy"), actions=PUSH)

        copy(
            client.repository(Reference.parse(f"{registry.address}/team/app")),
            target,
            image.manifest.descriptor,
        )

        assert target.has(image.manifest.descriptor)


def test_the_package_imports_nothing_heavy() -> None:
    code = "import registry_client, sys; print(*(sys.modules.keys() & {'requests', 'urllib3', 'ssl', 'layerstore'}))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == ""
