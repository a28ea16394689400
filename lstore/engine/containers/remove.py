"""`rm`, `rename`, `container prune`."""

from __future__ import annotations

from contextlib import suppress

from layerstore.errors import Conflict, NoSpace, NotFound, StoreDamaged
from layerstore.linux import signals
from lstore.engine.containers import places
from lstore.engine.containers.ending import end
from lstore.engine.containers.look import Container, look
from lstore.engine.containers.removal import remove_files
from runner import events
from runner.home import named, names_in, release_name, reserve_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lstore.engine.engine import Engine
    from runner.home import Home


def remove(engine: Engine, text: str, *, force: bool = False) -> None:
    """Remove the container with all that it wrote; with `force` end it first.

    Raises `NotFound`, `Conflict` for one that runs, and `StoreDamaged` for one whose files cannot be read, which
    only `force` removes.
    """
    try:
        container = look(engine, text)
    except StoreDamaged:
        if not force:
            raise
        _remove_unreadable(engine, places.find(engine, text))
        return
    if container.state.is_alive:
        if not force:
            name = container.config.name
            raise Conflict(
                f"cannot remove {name}: it is {container.state.status}", hint=f"lstore rm --force {name}"
            )
        end(engine, container, number=signals.SIGKILL, timeout=-1)
    try:
        container = look(engine, container.config.id)
        lock = container.home.lock()
    except NotFound:
        return  # it was to be removed at its end
    try:
        state = container.home.state()
        if state.is_alive:
            raise Conflict(f"cannot remove {container.config.name}: somebody has just started it")
        with suppress(NoSpace):  # the removal itself makes room
            container.home.write_state(state.but(status="removing"))
        remove_container(engine, container)
    finally:
        lock.close()


def _remove_unreadable(engine: Engine, home: Home) -> None:
    """Remove a container of which only the directory tells. Raises `Conflict` while it has a monitor."""
    if home.is_monitored():
        raise Conflict(f"cannot remove container {home.id[:12]}: it cannot be read, and runs")
    containers = places.containers_of(engine)
    lock = home.lock()
    try:
        names = [name for name in names_in(containers) if named(containers, name) == home.id]
        remove_files(home, containers, names[0] if names else "", places.snapshot_of(engine, home.id))
    finally:
        lock.close()


def remove_container(engine: Engine, container: Container) -> None:
    """Remove one that does not run, under its lock."""
    home, containers = container.home, places.containers_of(engine)
    config = home.config()
    remove_files(home, containers, config.name, places.snapshot_of(engine, home.id))
    events.record(containers, "destroy", config)


def rename(engine: Engine, text: str, name: str) -> None:
    """Give the container another name. Durable. Raises `NotFound`, `Conflict`, `UsageError`."""
    places.check_name(name)
    container = look(engine, text)
    containers = places.containers_of(engine)
    lock = container.home.lock()
    try:
        config = container.home.config()
        if config.name == name:
            raise Conflict(f"container {name} has that name already")
        reserve_name(containers, name, config.id)
        container.home.write_config(type(config)(**{**vars(config), "name": name}))
        release_name(containers, config.name, config.id)
    finally:
        lock.close()
    events.record(containers, "rename", config, oldName=config.name)
