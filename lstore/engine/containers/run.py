"""`run`: a container that was just made, started, with our streams joined to it."""

from __future__ import annotations

from layerstore.errors import LstoreError
from lstore.engine.containers.joining import attend, first_client
from lstore.engine.containers.launch import Startable, launch
from runner.container import CREATING, ContainerState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lstore.engine.containers.create import Created
    from lstore.engine.containers.joining import Joining
    from lstore.engine.engine import Engine


def run(engine: Engine, made: Created, joining: Joining | None) -> int | None:
    """Start a container that was just made, and join our streams with it, if `joining` says how.

    Its exit status; None where it is detached from, at once or by keys. Raises `LaunchError` with docker's
    status where the command could not be started; then the container is kept or removed as was asked.
    """
    ours, client = (None, None) if joining is None else first_client(made.config)
    try:
        launch(engine, Startable(made.home, made.config, CREATING, made.stack, made.lock), client)
    except LstoreError as error:
        if not made.config.is_removed_at_end:
            made.keep(ContainerState(exit_code=error.exit_status, error=error.message))
        raise
    if ours is None or joining is None:
        return None
    made.lock.close()
    return attend(engine, made.home, made.config, ours, joining)
