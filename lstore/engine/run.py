"""`run`: an image in the store → a process in a container of its own, in the foreground, and its exit status."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

from layerstore.content import read_document, read_manifest
from layerstore.disk.locks import open_lock
from layerstore.disk.trees import remove_tree
from layerstore.errors import EXIT_USAGE, LstoreError, NotFound, UnsupportedContent, storage_error
from layerstore.oci.config import ImageConfig
from layerstore.oci.manifest import Manifest
from layerstore.oci.platform import Platform
from layerstore.oci.reference import Reference
from layerstore.progress import SILENT, Progress
from layerstore.snapshot import overlay
from lstore.engine import catalog
from lstore.engine.pull import pull
from runner import launch
from runner.mapped import call_mapped
from runner.spec import ProcessSpec

if TYPE_CHECKING:
    from lstore.engine.engine import Engine
    from runner.spec import Network

Policy = Literal["missing", "always", "never"]
_ID_BYTES = 32
_HOSTNAME_LENGTH = 12


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What ``lstore run`` was asked for; what is None is as the image has it."""

    image: str
    command: tuple[str, ...] = ()
    entrypoint: str | None = None
    env: tuple[str, ...] = ()
    cwd: str | None = None
    user: str | None = None
    hostname: str | None = None
    network: "Network" = "none"
    is_read_only: bool = False
    platform: Platform | None = None
    pull: Policy = "missing"


def run(engine: "Engine", request: RunRequest, *, progress: Progress = SILENT) -> int:
    """Run the command to its end, and give its exit status, 128 + n after signal n. Nothing is left behind.

    Raises `LaunchError` with docker's status where the command could not be started; every other error
    has status 125, as docker's run gives it.
    """
    try:
        return _run(engine, request, progress)
    except LstoreError as error:
        if error.exit_status < EXIT_USAGE:
            error.exit_status = EXIT_USAGE
        raise


def _run(engine: "Engine", request: RunRequest, progress: Progress) -> int:
    manifest, config = _find(engine, request, progress)
    engine.snapshotter.ensure(manifest, config, progress)
    with _container(engine) as (identifier, state):
        stack = engine.snapshotter.prepare(identifier, config.diff_ids)
        spec = process_spec(config, request, identifier)
        return launch.run(stack, spec, launch.Surroundings(state, overlay.attach, request.network))


def _find(engine: "Engine", request: RunRequest, progress: Progress) -> tuple[Manifest, ImageConfig]:
    """Manifest and configuration of the image, pulled first where the policy says so."""
    platform = request.platform or engine.platform
    if request.pull == "always":
        pull(engine, Reference.parse(request.image), platform=request.platform, progress=progress)
    try:
        image = catalog.find(engine.store, request.image, platform)
    except NotFound:
        if request.pull == "never":
            raise
        progress.note(f"Unable to find image '{request.image}' locally")
        pull(engine, Reference.parse(request.image), platform=request.platform, progress=progress)
        image = catalog.find(engine.store, request.image, platform)
    manifest = read_manifest(engine.store.blobs, image.descriptor)
    if not isinstance(manifest, Manifest) or not manifest.is_image:
        raise UnsupportedContent(f"{request.image} is an artifact, which cannot be run")
    return manifest, ImageConfig.parse(read_document(engine.store.blobs, manifest.config))


def process_spec(config: ImageConfig, request: RunRequest, identifier: str) -> ProcessSpec:
    """The process that `request` asks of the image: docker's rules of entrypoint and command.

    An entrypoint of the request's own discards the image's command (docker run, "--entrypoint").
    """
    defaults = config.defaults
    if request.entrypoint is not None:
        entrypoint: Sequence[str] = (request.entrypoint,) if request.entrypoint else ()
        command: Sequence[str] = request.command
    else:
        entrypoint, command = defaults.entrypoint, request.command or defaults.cmd
    return ProcessSpec(
        args=(*entrypoint, *command),
        env=(*defaults.env, *request.env),
        cwd=request.cwd or defaults.working_dir or "/",
        user=request.user if request.user is not None else defaults.user,
        hostname=request.hostname or identifier[:_HOSTNAME_LENGTH],
        is_read_only=request.is_read_only,
    )


@contextmanager
def _container(engine: "Engine") -> Iterator[tuple[str, str]]:
    """The id and the state directory of a new container; all that is its goes at the end of the block.

    The lock in the directory is held meanwhile, so that a collection can tell what a killed launcher left.
    """
    identifier = os.urandom(_ID_BYTES).hex()
    state = os.path.join(engine.store.layout.containers, identifier)
    try:
        os.makedirs(state, mode=0o711)
        lock = open_lock(os.path.join(state, "lock"))
    except OSError as error:
        raise storage_error(error, f"make a container in {state}") from error
    lock.exclusive()
    try:
        yield identifier, state
    finally:
        call_mapped(partial(_remove, engine, identifier, state))
        lock.close()


def _remove(engine: "Engine", identifier: str, state: str) -> None:
    """Runs as whoever owns what the container wrote: without root, that may be subordinate ids."""
    engine.snapshotter.remove(identifier)
    remove_tree(state)
