"""`run`, `start --attach`, `attach`: our streams joined with a container's, from its start or from now on."""

from __future__ import annotations

import os

from layerstore.errors import Conflict, LaunchError, LstoreError
from layerstore.value import Value
from lstore.engine.containers.start import FirstClient, Startable, launch, start
from lstore.engine.containers.upkeep import KILLED, examine, look
from runner import console, wire
from runner.attach import Attachment
from runner.container import CREATING, ContainerConfig, ContainerState

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket

    from lstore.engine.containers.create import Created
    from lstore.engine.engine import Engine
    from runner.home import Home


class Joining(Value):
    """How our streams are joined: whether ours is the input, whether signals go on, and which keys detach."""

    sends_input: bool = False
    proxies_signals: bool = True
    detach_keys: bytes = b"\x10\x11"


def run(engine: Engine, made: Created, joining: Joining | None) -> int | None:
    """Start a container that was just made, and join our streams with it, if `joining` says how.

    Its exit status; None where it is detached from, at once or by keys. Raises `LaunchError` with docker's
    status where the command could not be started; then the container is kept or removed as was asked.
    """
    ours, client = (None, None) if joining is None else _first_client(made.config)
    try:
        launch(engine, Startable(made.home, made.config, CREATING, made.stack, made.lock), client)
    except LstoreError as error:
        if not made.config.is_removed_at_end:
            made.keep(ContainerState(exit_code=error.exit_status, error=error.message))
        raise
    if ours is None or joining is None:
        return None
    made.lock.close()
    return _attend(engine, made.home, made.config, ours, joining)


def _first_client(config: ContainerConfig) -> tuple[_socket.socket, FirstClient]:
    ours, theirs = wire.pair()
    if config.has_terminal and os.isatty(0):
        return ours, FirstClient(theirs, *console.size(0))
    return ours, FirstClient(theirs)


def start_attached(engine: Engine, text: str, joining: Joining) -> int | None:
    """`start`, and what the container writes from its start on. As `attach`."""
    container = look(engine, text)
    ours, client = _first_client(container.config)
    start(engine, text, client)
    return _attend(engine, container.home, container.config, ours, joining)


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
    return _attend(engine, container.home, config, connection, joining)


def _attend(
    engine: Engine, home: Home, config: ContainerConfig, connection: _socket.socket, joining: Joining
) -> int | None:
    attachment = Attachment(
        connection,
        has_terminal=config.has_terminal,
        sends_input=joining.sends_input and config.has_input,
        proxies_signals=joining.proxies_signals,
        detach_keys=joining.detach_keys,
    )
    try:
        status = attachment.run()
    except ConnectionError as error:
        if isinstance(error, BrokenPipeError):
            raise
        home.await_end_of_monitor()
        examine(engine, home)
        raise LaunchError(f"the monitor of container {config.name} was killed", exit_status=KILLED) from error
    if status is not None and config.is_removed_at_end:
        attachment.wait_until_closed()
    return status
