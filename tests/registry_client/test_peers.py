"""Against programs that others wrote: Debian's docker-registry and skopeo."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import pytest

from fixtures import debian_registry
from fixtures.debian_registry import DebianRegistry
from fixtures.network import Anonymous, FakePace, Notes
from layerstore.content import BytesReader, Readable, VerifyingReader, opened_bytes, read_manifest
from layerstore.errors import ContentMismatch, NotFound
from layerstore.oci import mediatype
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.manifest import Manifest
from layerstore.oci.reference import Reference
from registry_client.client import Client
from registry_client.repository import Repository
from registry_client.scope import PUSH
from registry_client.settings import Settings
from tests.registry_client.world import Image, drain, pattern

pytestmark = pytest.mark.package(debian_registry.PACKAGE)

LARGE = pattern(40_000_000)


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[str]:
    """The address of a running docker-registry."""
    folder = tmp_path / "docker-registry"
    folder.mkdir()
    with DebianRegistry(folder) as running:
        yield running.address


@pytest.fixture
def notes() -> Notes:
    """What the client has to say."""
    return Notes()


@pytest.fixture
def client(notes: Notes) -> Iterator[Client]:
    """A client over sockets."""
    pace = FakePace().pace()
    with Client.over_network(Settings(), Anonymous(), {}, progress=notes, pace=pace) as connected:
        yield connected


def repository(client: Client, address: str, name: str = "team/app") -> Repository:
    return client.repository(Reference.parse(f"{address}/{name}"), actions=PUSH)


def push(target: Repository, image: Image) -> None:
    target.push(image.blob, partial(opened_bytes, image.layer))
    target.push(image.manifest.config, partial(opened_bytes, image.config))
    target.push(image.manifest.descriptor, partial(opened_bytes, image.manifest.raw))
    target.tag(image.manifest.descriptor, "latest")


class BreaksOnce:
    """Content whose connection breaks after `after` bytes, the first time."""

    def __init__(self, data: bytes, after: int) -> None:
        self._data = data
        self._after: int | None = after
        self.offsets: list[int] = []

    def __call__(self, offset: int) -> AbstractContextManager[Readable]:
        self.offsets.append(offset)
        after, self._after = self._after, None
        return self._broken(after) if after is not None else opened_bytes(self._data, offset)

    @contextmanager
    def _broken(self, after: int) -> Iterator[Readable]:
        yield _Breaking(self._data[:after])


class _Breaking(BytesReader):
    def read(self, size: int, /) -> bytes:
        data = super().read(size)
        if not data:
            raise ConnectionResetError("cut by the test")
        return data


def test_an_image_goes_there_and_back(client: Client, peer: str, image: Image) -> None:
    target = repository(client, peer)

    push(target, image)

    assert target.resolve("latest") == image.manifest.descriptor
    assert list(target.tags()) == ["latest"]
    with target.fetch(image.blob, 1000) as stream:
        assert drain(stream) == image.layer[1000:]
    with pytest.raises(NotFound):
        target.resolve("absent")


def test_a_blob_is_mounted_from_a_neighbour(client: Client, peer: str, image: Image, notes: Notes) -> None:
    push(repository(client, peer, "team/base"), image)
    target = client.repository(
        Reference.parse(f"{peer}/team/app"), actions=PUSH, candidates=lambda _digest: ["team/base"]
    )

    target.push(image.blob, lambda _offset: pytest.fail("mounted blobs are not read"))

    assert (image.blob.digest.short, "mounted") in notes.phases
    assert target.has(image.blob)


def test_a_broken_upload_goes_on_where_it_broke(client: Client, peer: str) -> None:
    content = BreaksOnce(LARGE, 30_000_000)
    blob = Descriptor.of(mediatype.OCI_LAYER, LARGE)
    target = repository(client, peer)

    target.push(blob, content)

    assert len(content.offsets) == 2
    with target.fetch(blob) as stream:
        assert drain(VerifyingReader(stream, blob), 1 << 20) == LARGE


def test_content_that_is_not_what_its_digest_says_is_refused(client: Client, peer: str, image: Image) -> None:
    target = repository(client, peer)

    with pytest.raises(ContentMismatch):
        target.push(image.blob, partial(opened_bytes, image.layer[:-1] + b"x"))
    assert not target.has(image.blob)


def test_a_signature_is_found_without_the_referrers_api(client: Client, peer: str, image: Image) -> None:
    target = repository(client, peer)
    push(target, image)
    empty = Descriptor.of(mediatype.OCI_EMPTY, b"{}")
    raw = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": mediatype.OCI_MANIFEST,
            "artifactType": "application/vnd.example.signature",
            "config": empty.to_json(),
            "layers": [empty.to_json()],
            "subject": image.manifest.descriptor.to_json(),
        }
    ).encode()
    signature = Descriptor.of(mediatype.OCI_MANIFEST, raw)

    target.push(empty, partial(opened_bytes, b"{}"))
    target.push(signature, partial(opened_bytes, raw))

    assert target.referrers(image.manifest.descriptor) == (signature,)


def test_the_catalogue_is_searched(client: Client, peer: str, image: Image) -> None:
    push(repository(client, peer), image)

    assert [found.name for found in client.search(peer, "app")] == ["team/app"]


@pytest.mark.package("skopeo")
def test_skopeo_sees_the_same_digest_and_we_see_what_skopeo_pushed(
    client: Client, peer: str, image: Image
) -> None:
    source = repository(client, peer)
    push(source, image)
    original, converted = f"docker://{peer}/team/app:latest", f"docker://{peer}/team/converted:latest"

    told = subprocess.run(
        ["skopeo", "inspect", "--tls-verify=false", original], capture_output=True, text=True, check=True
    )
    subprocess.run(
        [
            "skopeo",
            "copy",
            "--quiet",
            "--src-tls-verify=false",
            "--dest-tls-verify=false",
            "--insecure-policy",
            "--format",
            "v2s2",
            original,
            converted,
        ],
        check=True,
    )

    assert json.loads(told.stdout)["Digest"] == str(image.manifest.descriptor.digest)
    copied = repository(client, peer, "team/converted")
    manifest = read_manifest(copied, copied.resolve("latest"))
    assert isinstance(manifest, Manifest)
    assert manifest.media_type == mediatype.DOCKER_MANIFEST
