"""`start`: a container in its directory → a monitor with the container under way."""

from __future__ import annotations

from layerstore.errors import Conflict, LaunchError
from lstore.engine.containers.launch import FirstClient, Startable, launch
from lstore.engine.containers.look import look

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lstore.engine.engine import Engine


def start(engine: Engine, text: str, client: FirstClient | None = None) -> None:
    """Start the container that `text` names; nothing where it runs already and nobody wants to see it.

    Raises `NotFound`, `LaunchError` with docker's exit status, which the state keeps too.
    """
    container = look(engine, text)
    lock = container.home.lock()
    try:
        state = container.home.state()
        if state.is_paused:
            raise Conflict(
                f"cannot start {container.config.name}: it is paused", hint=f"lstore unpause {text}"
            )
        if state.is_alive:
            if client is not None:
                raise Conflict(f"{container.config.name} runs already", hint=f"lstore attach {text}")
            return
        try:
            stack = engine.snapshotter.mounts(container.home.id)
            launch(engine, Startable(container.home, container.home.config(), state, stack, lock), client)
        except LaunchError as error:
            container.home.write_state(state.but(exit_code=error.exit_status, error=error.message))
            raise
    finally:
        lock.close()
