"""`exec`: one more process in a container that runs, in its namespaces and as confined as its own."""

from __future__ import annotations

import os

from layerstore.errors import Conflict
from layerstore.value import Value
from lstore.engine.containers import places
from lstore.engine.containers.look import look
from runner import console, enter, events, wire
from runner.launch import close_all_but, exit_status
from runner.signals import Forwarding
from runner.stdio import Stdio, fill_standard_descriptors
from runner.terminal import hold, relay

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lstore.engine.engine import Engine
    from runner.container import ContainerState
    from runner.spec import ProcessSpec


class ExecRequest(Value):
    """What ``lstore exec`` was asked for; what is None is as the container has it."""

    command: tuple[str, ...]
    env: tuple[str, ...] = ()
    cwd: str | None = None
    user: str | None = None
    has_terminal: bool = False
    has_input: bool = False
    is_detached: bool = False
    is_privileged: bool = False
    detach_keys: bytes = b"\x10\x11"


def execute(engine: Engine, text: str, request: ExecRequest) -> int:
    """Run the command in the container; its exit status, 0 at once where it is detached.

    It ends with the container at the latest. Raises `Conflict` where that does not run, `LaunchError` with
    docker's statuses where the command could not be started.
    """
    container = look(engine, text)
    config, state = container.config, container.state
    if state.status != "running" or state.is_paused:
        how = "paused" if state.is_paused else "not running"
        raise Conflict(f"cannot execute in {config.name}: it is {how}", hint="lstore ps --all")
    fill_standard_descriptors()
    spec = enter.joining(
        config.spec,
        request.command,
        env=(*(("TERM=xterm",) if request.has_terminal else ()), *request.env),
        cwd=request.cwd,
        user=request.user,
        is_privileged=request.is_privileged,
    )
    events.record(places.containers_of(engine), f"exec_start: {' '.join(request.command)}", config)
    if request.has_terminal and not request.is_detached:
        return _with_terminal(state, spec, request)
    return _with_descriptors(state, spec, request)


def _with_descriptors(state: ContainerState, spec: ProcessSpec, request: ExecRequest) -> int:
    """On our own descriptors, so nothing is copied; nowhere, where it is detached."""
    null = os.open(os.devnull, os.O_RDWR)
    try:
        nowhere = request.is_detached
        streams = (null, null, null) if nowhere else (0 if request.has_input else null, 1, 2)
        with Forwarding() as forwarding:
            pid, pidfd = enter.start(state, spec, Stdio(*streams))
            if nowhere:
                os.close(pidfd)
                return 0
            forwarding.start(pidfd)
            return exit_status(pid)
    finally:
        os.close(null)


def _with_terminal(state: ContainerState, spec: ProcessSpec, request: ExecRequest) -> int:
    """On a terminal of the container's own, which ours is joined with."""
    ours, theirs = wire.pair()
    try:
        pid, pidfd = enter.start(state, spec, Stdio(console=theirs.fileno()))
        theirs.close()
        master = console.receive(ours)
    finally:
        theirs.close()
        ours.close()
    is_detached = relay(master, pidfd, reads_input=request.has_input, detach_keys=request.detach_keys)
    if is_detached:
        _leave(master, pidfd)
    os.close(master)
    os.close(pidfd)
    return 0 if is_detached else exit_status(pid)


def _leave(master: int, pidfd: int) -> None:
    """Have a child keep the terminal for as long as the process runs, which would be hung up otherwise."""
    reader, writer = os.pipe()
    if os.fork():
        os.close(writer)
        os.read(reader, 1)  # until the child is out of our session, whose end would take it along
        os.close(reader)
        return
    try:
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for number in range(3):
            os.dup2(null, number)
        close_all_but(0, 1, 2, master, pidfd)
        hold(master, pidfd)
    finally:
        os._exit(0)
