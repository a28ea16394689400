"""`create`: an image in the store → a container that can be started, its directory and its snapshot."""

from __future__ import annotations

import os

from layerstore.errors import Conflict
from layerstore.progress import SILENT
from lstore.engine.containers import names, places, ready
from lstore.engine.containers.request import configure
from runner import events
from runner.container import ContainerConfig, ContainerState
from runner.home import Home, reserve_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

    from layerstore.disk.locks import FileLock
    from layerstore.mount import MountStack
    from layerstore.progress import Progress
    from lstore.engine.containers.ready import Ready
    from lstore.engine.containers.request import ContainerRequest
    from lstore.engine.engine import Engine

_ID_BYTES = 32
_ATTEMPTS = 16


class Created:
    """A container that nobody else sees yet: its status is "creating", and its lock is held.

    As a context manager: what is neither kept nor started in the block is removed at its end.
    """

    def __init__(
        self, engine: Engine, home: Home, config: ContainerConfig, stack: MountStack, lock: FileLock
    ) -> None:
        self.home = home
        self.config = config
        self.stack = stack
        self.lock = lock
        self._engine = engine

    def keep(self, state: ContainerState | None = None) -> None:
        """Let everybody see it, as created and not running. Durable."""
        self.home.write_state(state or ContainerState())

    def discard(self) -> None:
        """Remove it. Idempotent. Raises `LaunchError`, `StorageError`."""
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
    from lstore.engine.containers.removal import remove_files

    remove_files(home, places.containers_of(engine), name, places.snapshot_of(engine, home.id))


def begin(engine: Engine, request: ContainerRequest, progress: Progress = SILENT) -> Created:
    """All of `create` but its last step, for those who start the container at once."""
    if request.name is not None:
        places.check_name(request.name)
    image = _ready(engine, request, progress)
    containers = places.containers_of(engine)
    home = Home(containers, os.urandom(_ID_BYTES).hex())
    lock = home.make()
    name = ""
    try:
        name = _reserve(containers, request.name, home.id)
        config = configure(
            request,
            image.facts,
            identifier=home.id,
            name=name,
            find=lambda text: places.find(engine, text).id,
        )
        home.write_config(config)
        stack = _prepare(engine, home.id, request, image, progress)
    except BaseException:
        _discard(engine, home, name)
        lock.close()
        raise
    events.record(containers, "create", config)
    # One that is removed at its end is started once, and its removal need not wait until all it wrote is on disk.
    return Created(engine, home, config, stack.volatile() if config.is_removed_at_end else stack, lock)


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


def _ready(engine: Engine, request: ContainerRequest, progress: Progress) -> Ready:
    """The image with its snapshot: as it was last time, where that still holds."""
    found = ready.recall(engine, ready.words(engine, request)) if request.pull != "always" else None
    return found or _make_ready(engine, request, progress)


def _make_ready(engine: Engine, request: ContainerRequest, progress: Progress) -> Ready:
    from lstore.engine.containers.find_image import make_ready

    return make_ready(engine, request, progress)


def _prepare(
    engine: Engine, identifier: str, request: ContainerRequest, image: Ready, progress: Progress
) -> MountStack:
    """The container's snapshot, and what is mounted of it."""
    stack = ready.prepare(engine, image, identifier)
    while stack is None:  # a collection or a repair was faster
        again = _make_ready(engine, request, progress)
        if again.facts != image.facts:
            raise Conflict(f"{request.image} was replaced while a container of it was made")
        stack = ready.prepare(engine, again, identifier)
    return stack
