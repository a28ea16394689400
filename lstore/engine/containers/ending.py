"""`stop`, `kill`, `restart`, `wait`: how containers come to an end, and who waits for it."""

from __future__ import annotations

from layerstore.errors import Conflict
from layerstore.linux import signals
from lstore.engine.containers import freezing, places
from lstore.engine.containers.look import Container, look
from lstore.engine.containers.start import start
from lstore.engine.containers.talk import Talk, talking
from runner import events, wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lstore.engine.engine import Engine


def stop(engine: Engine, text: str, *, number: int | None = None, timeout: int | None = None) -> None:
    """Ask the container to end, and end it after `timeout` seconds, never where that is negative.

    Without `number` and `timeout` the container's own signal and patience. Nothing where it does not run.
    Raises as `look` does.
    """
    container = look(engine, text)
    if container.state.is_alive:
        end(engine, container, number=number, timeout=timeout)
        events.record(places.containers_of(engine), "stop", container.config)


def end(engine: Engine, container: Container, *, number: int | None, timeout: int | None) -> None:
    """`stop` for a container that was running when it was looked at."""
    config = container.config
    try:
        with talking(container) as talk:
            talk.ask(wire.STOPPING)
            talk.ask(wire.WATCH)
            talk.ask(wire.SIGNAL, bytes([config.stop_signal if number is None else number]))
            if container.state.is_paused:
                freezing.thaw(container)
            patience = config.stop_timeout if timeout is None else timeout
            if talk.wait(None if patience < 0 else patience) is None:
                talk.ask(wire.SIGNAL, bytes([signals.SIGKILL]))
            talk.wait_until_closed()
    except Conflict:
        return  # it ended by itself


def kill(engine: Engine, text: str, number: int) -> None:
    """Send a signal to the container's first process. Raises `Conflict` where it does not run."""
    container = look(engine, text)
    with talking(container) as talk:
        if number == signals.SIGKILL:
            talk.ask(wire.STOPPING)
        talk.ask(wire.SIGNAL, bytes([number]))
    if number == signals.SIGKILL and container.state.is_paused:
        freezing.thaw(container)
    events.record(places.containers_of(engine), "kill", container.config, signal=str(number))


def restart(engine: Engine, text: str, *, number: int | None = None, timeout: int | None = None) -> None:
    """`stop`, then `start`. Raises as `look` and `start` do."""
    container = look(engine, text)
    if container.state.is_alive:
        end(engine, container, number=number, timeout=timeout)
    start(engine, text)
    events.record(places.containers_of(engine), "restart", container.config)


def wait(engine: Engine, text: str) -> int:
    """The exit status of the container's present run, waited for; of its last one where it does not run.

    Raises as `look` does.
    """
    container = look(engine, text)
    if container.state.is_alive:
        try:
            with talking(container) as talk:
                return await_end(talk)
        except Conflict:
            container = look(engine, text)
    return container.state.exit_code


def await_end(talk: Talk) -> int:
    """The exit status of the run under way."""
    talk.ask(wire.WATCH)
    status = talk.wait()
    return 0 if status is None else status
