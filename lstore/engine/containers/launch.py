"""From a container in its directory that nobody else changes to a monitor with it under way."""

from __future__ import annotations

from layerstore.errors import LaunchError
from layerstore.value import Value
from lstore.engine.containers import places, standby
from runner.failure import from_report
from runner.order import STARTED, Order

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket

    from layerstore.disk.locks import FileLock
    from layerstore.mount import MountStack
    from lstore.engine.engine import Engine
    from runner.container import ContainerConfig, ContainerState
    from runner.home import Home


class FirstClient(Value):
    """Who sees a container's output from the start on: its end of a connection, and its terminal's size."""

    connection: _socket.socket
    rows: int = 0
    columns: int = 0


class Startable(Value):
    """A container that does not run: its directory, what is in it, its stack, its `lock`, which the caller holds."""

    home: Home
    config: ContainerConfig
    state: ContainerState
    stack: MountStack
    lock: FileLock


def launch(engine: Engine, container: Startable, client: FirstClient | None) -> None:
    """Start a monitor for the container, and see the process started.

    The monitor holds the lock, too, until the state says that the container runs: so the death of the caller
    at any moment leaves either that or nothing. Raises `LaunchError`.
    """
    home, config = container.home, container.config
    wanted = Order(
        config,
        container.state,
        container.stack,
        places.containers_of(engine),
        places.snapshot_of(engine, home.id),
        client.rows if client else 0,
        client.columns if client else 0,
    )
    given = (container.lock.fileno(), *(() if client is None else (client.connection.fileno(),)))
    report = standby.take().carry_out(wanted.to_bytes(), given)
    if client is not None:
        client.connection.close()
    if not report:
        raise LaunchError(f"cannot start {config.name}: its monitor ended", hint="lstore ps --all")
    if report != STARTED:
        raise from_report(report)
