"""An image, hosts that have it or not, and a client among them that never really sleeps."""

from dataclasses import dataclass
from functools import partial

from fixtures.network import Anonymous, FakePace, Network, Notes, SimulatedHost, SimulatedRegistry
from fixtures.registry.storage import StoredManifest
from layerstore.content import Readable
from layerstore.oci import mediatype
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.manifest import Manifest, build_manifest
from registry_client.client import Client
from registry_client.credentials import Credentials
from registry_client.settings import Settings

HOST = "https://registry.example"
NAME = "registry.example/team/app"


def pattern(size: int) -> bytes:
    """`size` bytes of which no two megabytes are alike, so that a misplaced piece shows."""
    return b"".join(number.to_bytes(4, "big") for number in range(-(-size // 4)))[:size]


def drain(stream: Readable, size: int = 1 << 16) -> bytes:
    """All that is left of `stream`."""
    return b"".join(iter(partial(stream.read, size), b""))


@dataclass(frozen=True, slots=True)
class Image:
    """One image with one layer, and where it can be put."""

    layer: bytes = pattern(300_000)
    config: bytes = b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}'

    @property
    def blob(self) -> Descriptor:
        """The layer's descriptor."""
        return Descriptor.of(mediatype.OCI_LAYER, self.layer)

    @property
    def manifest(self) -> Manifest:
        """The manifest over config and layer."""
        return build_manifest(Descriptor.of(mediatype.OCI_CONFIG, self.config), (self.blob,))

    def put_into(
        self, registry: SimulatedRegistry, repository: str = "team/app", tag: str = "latest"
    ) -> None:
        """Let `registry` have it."""
        registry.storage.add_blob(repository, self.layer)
        registry.storage.add_blob(repository, self.config)
        manifest = self.manifest
        stored = StoredManifest(manifest.media_type, manifest.descriptor.digest, manifest.raw)
        registry.storage.add_manifest(repository, stored, tag)


class World:
    """Simulated hosts, and a client among them that never really sleeps."""

    def __init__(
        self, hosts: dict[str, SimulatedHost], settings: Settings, credentials: Credentials | None = None
    ) -> None:
        self.network = Network(hosts)
        self.clock = FakePace()
        self.notes = Notes()
        self.client = Client(
            self.network,
            settings,
            credentials or Anonymous(),
            progress=self.notes,
            pace=self.clock.pace(),
        )
