"""Where things lie in a store's root, and how a root is made. Paths only; nobody else spells them.

ROOT/format                   the number of this layout
ROOT/lock                     the store lock (docs/ordering.md)
ROOT/reserve                  room kept back for removals
ROOT/content/                 a valid OCI image layout: oci-layout, index.json, blobs/ALGORITHM/HEX
ROOT/ingest/ALGORITHM-HEX/    work on one blob: lock, blob, layer/, done
ROOT/ingest/staging-HEX/      something being made: lock, made/
ROOT/layers/ALGORITHM-HEX/    one layer uncompressed, named by its diff_id; what is in it is the driver's
ROOT/layers/unsealed-BOOT     layers written since that boot that may not be durable yet
ROOT/snapshots/, containers/  their own modules' business
ROOT/mounts/                  what is mounted for looking: `layerstore.snapshot.views`
ROOT/build-cache/             what builds made and may use again: `layerstore.build.cache`
ROOT/leases/                  holds of running processes against collection
"""

from __future__ import annotations

import os

from layerstore.disk import locks
from layerstore.disk.publish import make_directories, sync_directory, write_file
from layerstore.errors import InvalidDigest, StoreDamaged, storage_error
from layerstore.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from layerstore.oci.digest import Digest

FORMAT = b"1\n"
IMAGE_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'
EMPTY_INDEX = b'{"manifests":[],"mediaType":"application/vnd.oci.image.index.v1+json","schemaVersion":2}'
_PASSABLE = 0o711
"""Mode of the root: containers with mapped ids must be able to pass through, not to list."""
_PRIVATE = 0o700
"""Mode of what holds images' files: their set-uid programs are nothing for local users (CVE-2021-41091)."""


class Layout(Value):
    """The paths of the store at `root`, an absolute path."""

    root: str

    @property
    def lock(self) -> str:
        """The store lock."""
        return os.path.join(self.root, "lock")

    @property
    def reserve(self) -> str:
        """Room kept back for removals."""
        return os.path.join(self.root, "reserve")

    @property
    def content(self) -> str:
        """The OCI image layout."""
        return os.path.join(self.root, "content")

    @property
    def index(self) -> str:
        """The file that holds all refs."""
        return os.path.join(self.content, "index.json")

    @property
    def ingests(self) -> str:
        """Where blobs are worked on."""
        return os.path.join(self.root, "ingest")

    @property
    def layers(self) -> str:
        """Layers uncompressed."""
        return os.path.join(self.root, "layers")

    @property
    def snapshots(self) -> str:
        """Committed and active snapshots."""
        return os.path.join(self.root, "snapshots")

    @property
    def containers(self) -> str:
        """One directory per container."""
        return os.path.join(self.root, "containers")

    @property
    def mounts(self) -> str:
        """Records of what is mounted, and its mount points."""
        return os.path.join(self.root, "mounts")

    @property
    def build_cache(self) -> str:
        """Records of finished steps, cache mounts, and what builds work on."""
        return os.path.join(self.root, "build-cache")

    @property
    def leases(self) -> str:
        """Holds of running processes."""
        return os.path.join(self.root, "leases")

    def blobs(self, algorithm: str) -> str:
        """The directory of all blobs whose digests have `algorithm`."""
        return os.path.join(self.content, "blobs", algorithm)

    def blob(self, digest: Digest) -> str:
        """Where the blob of that digest is or would be."""
        return os.path.join(self.blobs(digest.algorithm), digest.encoded)

    def ingest(self, digest: Digest) -> str:
        """The directory of work on the blob of that digest."""
        return os.path.join(self.ingests, f"{digest.algorithm}-{digest.encoded}")

    def layer(self, diff_id: Digest) -> str:
        """The directory of the uncompressed layer of that diff_id."""
        return os.path.join(self.layers, f"{diff_id.algorithm}-{diff_id.encoded}")

    @property
    def directories(self) -> dict[str, int]:
        """Every directory that a store cannot work without, and its mode."""
        return {
            self.content: 0o755,
            os.path.join(self.content, "blobs"): 0o755,
            self.blobs("sha256"): 0o755,
            self.ingests: _PRIVATE,
            self.layers: _PRIVATE,
            self.snapshots: _PASSABLE,
            self.leases: _PRIVATE,
        }

    def create(self) -> None:
        """Make an empty store, or finish making one. Idempotent, and safe beside others doing the same.

        Raises `StorageError`, and `StoreDamaged` where the root holds a store of another format.
        """
        try:
            if not self._has_format():
                self._make_root()
                with locks.exclusive(self.lock):
                    self._make()
        except OSError as error:
            raise storage_error(error, f"make a store at {self.root}") from error

    def _make_root(self) -> None:
        parent = os.path.dirname(self.root)
        make_directories(parent)
        try:
            os.mkdir(self.root, _PASSABLE)
        except FileExistsError:
            return
        sync_directory(parent)

    def _make(self) -> None:
        self.make_missing()
        for path, data in (
            (os.path.join(self.content, "oci-layout"), IMAGE_LAYOUT),
            (self.index, EMPTY_INDEX),
            (os.path.join(self.root, "format"), FORMAT),
        ):
            if not os.path.exists(path):
                write_file(path, data)

    def make_missing(self) -> None:
        """Make each of `directories` that is not there, durably. Raises ``OSError``."""
        for path, mode in self.directories.items():
            make_directories(path, mode=mode)

    def _has_format(self) -> bool:
        try:
            with open(os.path.join(self.root, "format"), "rb") as stream:
                found = stream.read(64)
        except FileNotFoundError:
            return False
        if found != FORMAT:
            shown = found[:20].decode("ascii", "replace").strip()
            raise StoreDamaged(
                f"the store at {self.root} has format {shown!r}; this lstore reads format 1",
                hint="use the lstore that made it, or another --root",
            )
        return True


def parse_name(name: str) -> Digest | None:
    """The digest that the entry `name` of ``ingest/`` or ``layers/`` stands for; None for other names."""
    from layerstore.oci.digest import Digest  # noqa: PLC0415 - a launcher needs the paths alone

    algorithm, _, encoded = name.partition("-")
    try:
        return Digest(algorithm, encoded)
    except InvalidDigest:
        return None
