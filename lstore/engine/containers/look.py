"""Looking at containers. What was killed is cleared away first (`upkeep`), so that what is seen is true."""

from __future__ import annotations

from layerstore import log
from layerstore.errors import LstoreError, NotFound, StoreDamaged
from layerstore.value import Value
from lstore.engine.containers import places
from runner.container import ContainerConfig, ContainerState
from runner.home import Home

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lstore.engine.engine import Engine


class Container(Value):
    """One container as it is now."""

    home: Home
    config: ContainerConfig
    state: ContainerState

    @property
    def short_id(self) -> str:
        """The id as lists show it."""
        return self.config.id[:12]


def look(engine: Engine, text: str) -> Container:
    """The container that `text` names, cleared up if it needs to be. Raises `NotFound`, `Conflict`.

    One that is being made, or removed, is waited for. Raises `StoreDamaged` for one whose files cannot be read.
    """
    home = places.find(engine, text)
    try:
        container = examine(engine, home) or _await_change(engine, home)
    except StoreDamaged as error:
        raise StoreDamaged(error.message, hint=f"lstore rm --force {home.id[:12]}") from error
    if container is None:
        raise NotFound(f"no such container: {text}", hint="lstore ps --all")
    return container


def _await_change(engine: Engine, home: Home) -> Container | None:
    """The container, once nobody changes it any more; None where it is gone then."""
    try:
        home.lock().close()
    except NotFound:
        return None
    return examine(engine, home)


def examine(engine: Engine, home: Home) -> Container | None:
    """The container in `home`, cleared up; None where it is gone, or not yet there."""
    try:
        container = Container(home, home.config(), home.state())
    except (NotFound, StoreDamaged):
        container = None
    if container is None or not _is_settled(container):
        from lstore.engine.containers.upkeep import clear_up  # few need it, and it imports half a monitor

        return clear_up(engine, home)
    return container


def _is_settled(container: Container) -> bool:
    """Whether it is neither being made nor removed, and has a monitor where it needs one."""
    state, config = container.state, container.config
    if state.status in ("creating", "removing"):
        return False
    needs_monitor = state.is_alive or (state.status == "exited" and config.is_removed_at_end)
    return not needs_monitor or container.home.is_monitored()


def examine_all(engine: Engine) -> Iterator[Container]:
    """Every container, cleared up. One that is damaged is left out, with a warning."""
    for home in places.homes(engine):
        try:
            container = examine(engine, home)
        except LstoreError as error:
            log.warning(__name__, error.message)
            continue
        if container is not None:
            yield container
