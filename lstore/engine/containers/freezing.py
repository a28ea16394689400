"""`pause`, `unpause`: all processes of a container stand still, by its control group's freezer."""

from __future__ import annotations

from layerstore.errors import Conflict, LstoreError, MissingFeature
from lstore.engine.containers import places
from lstore.engine.containers.look import Container, look
from lstore.engine.containers.talk import talking
from runner import cgroups, events, wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lstore.engine.engine import Engine


def pause(engine: Engine, text: str) -> None:
    """Let all processes of the container stand still. Raises `Conflict`, `MissingFeature`, `LaunchError`."""
    container = look(engine, text)
    if container.state.is_paused:
        raise Conflict(f"container {container.config.name} is paused already")
    with talking(container) as talk:
        group = _group(container)
        group.freeze()
        try:
            talk.ask(wire.PAUSED, b"\1")
        except LstoreError:  # the disk is full, and nobody would know
            group.thaw()
            raise
    events.record(places.containers_of(engine), "pause", container.config)


def unpause(engine: Engine, text: str) -> None:
    """Let them go on. Raises as `pause`."""
    container = look(engine, text)
    if not container.state.is_paused:
        raise Conflict(f"container {container.config.name} is not paused")
    with talking(container) as talk:
        group = _group(container)
        group.thaw()
        try:
            talk.ask(wire.PAUSED, b"\0")
        except LstoreError:
            group.freeze()
            raise
    events.record(places.containers_of(engine), "unpause", container.config)


def thaw(container: Container) -> None:
    """Let them go on towards the end that was asked for."""
    _group(container).thaw()


def _group(container: Container) -> cgroups.Group:
    group = cgroups.load(container.home.path)
    if group is None:
        raise MissingFeature(
            f"cannot pause {container.config.name}: it has no control group", hint="lstore info"
        )
    return group
