"""`create`: an image in the store → a container that can be started, its directory and its snapshot."""

from __future__ import annotations

import os

from layerstore.content import read_document, read_manifest
from layerstore.disk import locks
from layerstore.errors import Conflict, NotFound, UnsupportedContent
from layerstore.oci.config import ImageConfig
from layerstore.oci.manifest import Manifest
from layerstore.oci.reference import Reference
from layerstore.progress import SILENT
from lstore.engine import catalog
from lstore.engine.containers import names, places
from lstore.engine.containers.removal import remove_files
from lstore.engine.containers.request import configure
from runner import events
from runner.container import ContainerConfig, ContainerState
from runner.home import Home, reserve_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

    from layerstore.disk.locks import FileLock
    from layerstore.progress import Progress
    from lstore.engine.containers.request import ContainerRequest
    from lstore.engine.engine import Engine

_ID_BYTES = 32
_ATTEMPTS = 16


class Created:
    """A container that nobody else sees yet: its status is "creating", and its lock is held.

    As a context manager: what is neither kept nor started in the block is removed at its end.
    """

    def __init__(self, engine: Engine, home: Home, config: ContainerConfig, lock: FileLock) -> None:
        self.home = home
        self.config = config
        self.lock = lock
        self._engine = engine

    def keep(self, state: ContainerState | None = None) -> None:
        """Let everybody see it, as created and not running. Durable."""
        self.home.write_state(state or ContainerState())

    def discard(self) -> None:
        """Remove it. Idempotent."""
        _discard(self._engine, self.home, self.config.name)

    def __enter__(self) -> Created:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        try:
            if os.path.isdir(self.home.path) and self.home.state().status == "creating":
                self.discard()
        finally:
            self.lock.close()


def create(engine: Engine, request: ContainerRequest, progress: Progress = SILENT) -> ContainerConfig:
    """A new container, in status "created". Durable. Raises `NotFound`, `Conflict`, `UsageError`, `StorageError`."""
    with begin(engine, request, progress) as made:
        made.keep()
    return made.config


def _discard(engine: Engine, home: Home, name: str) -> None:
    remove_files(home, places.containers_of(engine), name, places.snapshot_of(engine, home.id))


def begin(engine: Engine, request: ContainerRequest, progress: Progress = SILENT) -> Created:
    """All of `create` but its last step, for those who start the container at once."""
    if request.name is not None:
        places.check_name(request.name)
    manifest, image = find_image(engine, request, progress)
    containers = places.containers_of(engine)
    home = Home(containers, os.urandom(_ID_BYTES).hex())
    lock = home.make()
    name = ""
    try:
        name = _reserve(containers, request.name, home.id)
        config = configure(
            request, image, identifier=home.id, name=name, find=lambda text: places.find(engine, text).id
        )
        home.write_config(config)
        _prepare(engine, home.id, manifest, image, progress)
    except BaseException:
        _discard(engine, home, name)
        lock.close()
        raise
    events.record(containers, "create", config)
    return Created(engine, home, config, lock)


def find_image(engine: Engine, request: ContainerRequest, progress: Progress) -> tuple[Manifest, ImageConfig]:
    """Manifest and configuration of the image, pulled first where the policy says so."""
    platform = request.platform or engine.platform
    if request.pull == "always":
        _pull(engine, request, progress)
    try:
        image = catalog.find(engine.store, request.image, platform)
    except NotFound:
        if request.pull == "never":
            raise
        progress.note(f"Unable to find image '{request.image}' locally")
        _pull(engine, request, progress)
        image = catalog.find(engine.store, request.image, platform)
    manifest = read_manifest(engine.store.blobs, image.descriptor)
    if not isinstance(manifest, Manifest) or not manifest.is_image:
        raise UnsupportedContent(f"{request.image} is an artifact, which cannot be run")
    return manifest, ImageConfig.parse(read_document(engine.store.blobs, manifest.config))


def _pull(engine: Engine, request: ContainerRequest, progress: Progress) -> None:
    from lstore.engine.pull import pull

    pull(engine, Reference.parse(request.image), platform=request.platform, progress=progress)


def _reserve(containers: str, wanted: str | None, identifier: str) -> str:
    if wanted is not None:
        reserve_name(containers, wanted, identifier)
        return wanted
    for attempt in range(_ATTEMPTS):
        name = names.propose(attempt)
        try:
            reserve_name(containers, name, identifier)
        except Conflict:
            continue
        return name
    raise Conflict("cannot find a free name for the container", hint="lstore run --name NAME …")


def _prepare(
    engine: Engine, identifier: str, manifest: Manifest, image: ImageConfig, progress: Progress
) -> None:
    """The container's snapshot. Its layers cannot be collected between a look at them and the hold on them."""
    while True:
        engine.snapshotter.ensure(manifest, image, progress)
        with locks.shared(engine.store.layout.lock):
            if engine.snapshotter.has(image.diff_ids):
                engine.snapshotter.prepare(identifier, image.diff_ids)
                return
