"""Our streams joined with a container's: how, and for how long."""

from __future__ import annotations

import os

from layerstore.errors import LaunchError
from layerstore.value import Value
from lstore.engine.containers.launch import FirstClient
from runner import window, wire
from runner.attach import Attachment

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket

    from lstore.engine.engine import Engine
    from runner.container import ContainerConfig
    from runner.home import Home


class Joining(Value):
    """How our streams are joined: whether input and signals go on, which keys detach, and which outputs are shown."""

    sends_input: bool = False
    proxies_signals: bool = True
    detach_keys: bytes = b"\x10\x11"
    outputs: bytes = wire.OUTPUT + wire.ERRORS


def first_client(config: ContainerConfig) -> tuple[_socket.socket, FirstClient]:
    """Our end of a connection, and the other for a monitor that is to start."""
    ours, theirs = wire.pair()
    if config.has_terminal and os.isatty(0):
        return ours, FirstClient(theirs, *window.size(0))
    return ours, FirstClient(theirs)


def attend(
    engine: Engine, home: Home, config: ContainerConfig, connection: _socket.socket, joining: Joining
) -> int | None:
    """Be joined until the container's run ends, then its exit status; None where the user detached before.

    Where no output is shown, that is so once our input has ended.
    Raises `LaunchError` where the monitor was killed.
    """
    attachment = Attachment(
        connection,
        has_terminal=config.has_terminal,
        sends_input=joining.sends_input and config.has_input,
        outputs=joining.outputs,
        proxies_signals=joining.proxies_signals,
        detach_keys=joining.detach_keys,
    )
    try:
        status = attachment.run()
    except ConnectionError as error:
        if isinstance(error, BrokenPipeError):
            raise
        from lstore.engine.containers.look import examine
        from lstore.engine.containers.upkeep import KILLED  # few come here

        home.await_end_of_monitor()
        examine(engine, home)
        raise LaunchError(f"the monitor of container {config.name} was killed", exit_status=KILLED) from error
    if status is not None and config.is_removed_at_end:
        attachment.wait_until_closed()
    return status
