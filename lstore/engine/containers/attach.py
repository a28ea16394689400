"""`start --attach`, `attach`: our streams joined with a container's, from its start or from now on."""

from __future__ import annotations

from layerstore.errors import Conflict
from lstore.engine.containers.joining import attend, first_client
from lstore.engine.containers.look import look
from lstore.engine.containers.start import start
from runner import wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lstore.engine.containers.joining import Joining
    from lstore.engine.engine import Engine


def start_attached(engine: Engine, text: str, joining: Joining) -> int | None:
    """`start`, and what the container writes from its start on. As `attach`."""
    container = look(engine, text)
    ours, client = first_client(container.config)
    start(engine, text, client)
    return attend(engine, container.home, container.config, ours, joining)


def attach(engine: Engine, text: str, joining: Joining) -> int | None:
    """Join our streams with those of a container that runs.

    The exit status of its run; None where the user detached. Raises `Conflict` where it does not run.
    """
    container = look(engine, text)
    config, state = container.config, container.state
    if not state.is_alive or state.is_paused:
        how = "paused" if state.is_paused else "not running"
        raise Conflict(f"cannot attach to {config.name}: it is {how}", hint="lstore ps --all")
    try:
        connection = wire.connect(container.home.path)
    except OSError as error:
        raise Conflict(f"cannot attach to {config.name}: it is not running") from error
    connection.send(wire.WATCH + wire.OUTPUT + wire.ERRORS)
    return attend(engine, container.home, config, connection, joining)
