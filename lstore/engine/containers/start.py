"""`start`: a container in its directory → a monitor with the container under way."""

from __future__ import annotations

import os
import sys

import layerstore
from layerstore.errors import Conflict, LaunchError, UsageError
from layerstore.value import Value
from lstore.engine.containers import places
from lstore.engine.containers.upkeep import look
from runner import order
from runner.failure import LONGEST_REPORT, from_report
from runner.order import STARTED, Order

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket

    from layerstore.disk.locks import FileLock
    from layerstore.mount import MountStack
    from lstore.engine.engine import Engine
    from runner.container import ContainerConfig
    from runner.home import Home

_START = "import sys; sys.path.insert(0, sys.argv[1]); from lstore.engine.containers.monitor_main import main; main()"
_CODE = os.path.dirname(os.path.dirname(os.path.abspath(layerstore.__file__)))


class FirstClient(Value):
    """Who sees a container's output from the start on: its end of a connection, and its terminal's size."""

    connection: _socket.socket
    rows: int = 0
    columns: int = 0


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
            launch(engine, Startable(container.home, container.home.config(), stack, lock), client)
        except LaunchError as error:
            container.home.write_state(state.but(exit_code=error.exit_status, error=error.message))
            raise
    finally:
        lock.close()


class Startable(Value):
    """A container that does not run: its directory, its `lock`, which the caller holds, and what is to be mounted."""

    home: Home
    config: ContainerConfig
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
        home.state(),
        container.stack,
        places.containers_of(engine),
        places.snapshot_of(engine, home.id),
        client is not None,
        client.rows if client else 0,
        client.columns if client else 0,
    )
    report = _run_monitor(wanted, container.lock.fileno(), client)
    if not report:
        raise LaunchError(f"cannot start {config.name}: its monitor ended", hint="lstore ps --all")
    if report != STARTED:
        raise from_report(report)


def _run_monitor(wanted: Order, lock: int, client: FirstClient | None) -> bytes:
    """What a new monitor reports, b"" where it died."""
    order_reader, order_writer = os.pipe()
    report_reader, report_writer = os.pipe()
    null = os.open(os.devnull, os.O_RDWR)
    places_of = {order.ORDER_FD: order_reader, order.REPORT_FD: report_writer, order.LOCK_FD: lock}
    if client is not None:
        places_of[order.CLIENT_FD] = client.connection.fileno()
    try:
        pid = _spawn({0: null, 1: null, 2: null, **places_of})
    finally:
        for fd in (order_reader, report_writer, null):
            os.close(fd)
    if client is not None:
        client.connection.close()
    try:
        with open(order_writer, "wb") as stream:
            stream.write(wanted.to_bytes())
    except BrokenPipeError:
        pass  # the report, or its absence, tells more
    os.waitpid(pid, 0)
    with open(report_reader, "rb") as answers:
        return answers.read(LONGEST_REPORT)


def _spawn(descriptors: dict[int, int]) -> int:
    """A fresh interpreter with nothing but what a monitor needs, in a session of its own."""
    command = [sys.executable, "-I", "-S", "-c", _START, _CODE]
    # By way of numbers that nothing else has, as some of the targets may be sources.
    spare = max(*descriptors.values(), *descriptors) + 1
    moves = [(source, spare + position) for position, source in enumerate(descriptors.values())]
    actions: list[tuple[int, ...]] = [(os.POSIX_SPAWN_DUP2, source, between) for source, between in moves]
    actions += [
        (os.POSIX_SPAWN_DUP2, between, target)
        for (_, between), target in zip(moves, descriptors, strict=True)
    ]
    actions += [(os.POSIX_SPAWN_CLOSE, between) for _, between in moves]
    try:
        return os.posix_spawn(sys.executable, command, {}, file_actions=actions, setsid=True)
    except OSError as error:
        raise UsageError(f"cannot start {sys.executable}: {(error.strerror or '').lower()}") from error
