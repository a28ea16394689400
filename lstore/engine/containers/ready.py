"""Images that are ready to be run, remembered: what the last containers were made of, found again at once.

Resolving a name, reading manifest and configuration, and asking the driver for its lowers is most of the time
that a start takes, and gives the same as last time until something changes. So the answers are kept in
``CONTAINERS/ready``. They are derived: a file that is missing, damaged or of another boot is written anew, and
one that is older than the refs is not believed. Nobody collects it: it holds no content, and is bounded.
"""

from __future__ import annotations

import os

from layerstore.disk import locks
from layerstore.disk.publish import write_file
from layerstore.errors import LstoreError
from layerstore.mount import Directory, ErofsImage, MountStack
from layerstore.snapshot.active import make_active, stack_at
from layerstore.value import Value
from lstore.engine.containers import places
from lstore.engine.containers.image_facts import ImageFacts
from runner import record
from runner.home import boot_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lstore.engine.containers.request import ContainerRequest
    from lstore.engine.engine import Engine

NAME = "ready"
_MAX_IMAGES = 32
_MAX_FILE = 4 << 20
_INNER = (ImageFacts, MountStack, Directory, ErofsImage)


class Ready(Value):
    """One image whose snapshot is there: what a container takes of it, and what its own snapshot stands on."""

    asked: tuple[str, ...]
    """The words that found it."""
    facts: ImageFacts
    view: MountStack
    needed: tuple[str, ...]
    """The directories that `view` stands on."""
    parent: str
    root: tuple[int, int, int]
    """Mode, user and group of the root directory."""

    def is_whole(self) -> bool:
        """Whether all that it stands on is there. Stays so while the store lock is held."""
        return all(map(os.path.isdir, self.needed))


class _Kept(Value):
    """The file: what held when the refs were the file `refs` (inode, size, time of change), in this boot."""

    refs: tuple[int, ...]
    boot: str
    images: tuple[Ready, ...]


def words(engine: Engine, request: ContainerRequest) -> tuple[str, ...]:
    """Everything that an image is found by, and its snapshot."""
    ids = "" if engine.ids is None else engine.ids.name
    return request.image, str(request.platform or ""), engine.driver or "", ids


def refs_now(engine: Engine) -> tuple[int, ...]:
    """What tells the present refs from any others; to be asked before they are read."""
    status = os.stat(engine.layout.index)
    return status.st_ino, status.st_size, status.st_mtime_ns


def recall(engine: Engine, asked: tuple[str, ...]) -> Ready | None:
    """The image that these words found, if they still do."""
    kept = _read(engine)
    if kept is None or kept.refs != refs_now(engine):
        return None
    return next((each for each in kept.images if each.asked == asked and each.is_whole()), None)


def remember(engine: Engine, image: Ready, refs: tuple[int, ...]) -> None:
    """Keep `image` for `recall`, found when the refs were `refs`. What cannot be written is not remembered."""
    kept = _read(engine)
    others = kept.images if kept is not None and kept.refs == refs else ()
    images = (image, *(each for each in others if each.asked != image.asked))[:_MAX_IMAGES]
    containers = places.containers_of(engine)
    try:
        os.makedirs(containers, mode=0o711, exist_ok=True)
        write_file(os.path.join(containers, NAME), record.dump(_Kept(refs, boot_id(), images)), mode=0o600)
    except OSError:
        return


def prepare(engine: Engine, image: Ready, identifier: str) -> MountStack | None:
    """The container's own snapshot on `image`; None where that is not whole any more. Raises `StorageError`."""
    path = places.snapshot_of(engine, identifier)
    with locks.shared(engine.layout.lock):  # nothing is collected between a look at it and the hold on it
        if not image.is_whole():
            return None
        make_active(path, image.parent.encode(), image.root)
    return stack_at(path, image.view)


def _read(engine: Engine) -> _Kept | None:
    try:
        with open(os.path.join(places.containers_of(engine), NAME), "rb") as stream:
            kept = record.load(stream.read(_MAX_FILE), _Kept, (Ready, *_INNER), "the images that are ready")
    except (OSError, LstoreError):
        return None
    return kept if kept.boot == boot_id() else None
