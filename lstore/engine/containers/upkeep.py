"""Noticing what was killed, and clearing it away: half-made containers, and those whose monitor is gone.

Every command that looks at a container comes by here, so that what it sees is true.
"""

from __future__ import annotations

import os

from layerstore import linux, log
from layerstore.disk.publish import TEMPORARY_PREFIX
from layerstore.disk.removal import remove_tree
from layerstore.errors import LstoreError, NotFound, StoreDamaged
from layerstore.linux import signals
from lstore.engine.containers import places
from lstore.engine.containers.look import Container, examine_all
from lstore.engine.containers.removal import remove_files
from runner import cgroups, events
from runner.container import ContainerConfig, ContainerState, now
from runner.home import NAMES, Home, boot_id, named, process_start, release_name
from runner.mapped import call_mapped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lstore.engine.engine import Engine

KILLED = 137
_AFTER_REBOOT = 255  # docker's status for an end that nobody saw


def clear_up(engine: Engine, home: Home) -> Container | None:
    """The container in `home`, once what was killed is cleared away; None where it is gone, or not yet there."""
    try:
        return _clear_up(engine, home)
    except StoreDamaged:
        if not home.is_lost():
            raise
        _remove_lost(engine, home)
        return None


def _clear_up(engine: Engine, home: Home) -> Container | None:
    try:
        state = home.state()
    except NotFound:
        if home.is_stillborn():
            _remove(engine, home)
        return None
    try:
        if state.status in ("creating", "removing"):
            _finish(engine, home)
            return None
        config = home.config()
        if state.is_alive and not home.is_monitored():
            return _bury(engine, home)
        if state.status == "exited" and config.is_removed_at_end and not home.is_monitored():
            _remove_late(engine, home, config)
            return None
    except NotFound:
        return None
    return Container(home, config, state)


def sweep(engine: Engine) -> None:
    """Clear up everything that was killed, and what removals left."""
    for _ in examine_all(engine):
        pass
    containers = places.containers_of(engine)
    if os.path.isdir(containers):
        left = [name for name in os.listdir(containers) if name.startswith(TEMPORARY_PREFIX)]
        if left:
            call_mapped(lambda: _remove_all(os.path.join(containers, name) for name in left))
        _release_stale_names(containers)


def _remove_all(paths: Iterable[str]) -> None:
    for path in paths:
        remove_tree(path)


def _release_stale_names(containers: str) -> None:
    """Names that a killed rename left: their container has another one by now, or is gone."""
    for name, identifier in _all_names(containers):
        home = Home(containers, identifier)
        try:
            lock = home.try_lock()
        except NotFound:
            release_name(containers, name, identifier)
            continue
        if lock is None:
            continue
        try:
            if home.config().name != name:
                release_name(containers, name, identifier)
        except LstoreError:
            continue  # it is damaged, and nobody can say
        finally:
            lock.close()


def _all_names(containers: str) -> Iterator[tuple[str, str]]:
    """Every reserved name, and the id that it stands for."""
    names = os.path.join(containers, NAMES)
    if os.path.isdir(names):
        for name in os.listdir(names):
            identifier = named(containers, name)
            if identifier is not None:
                yield name, identifier


def _remove_lost(engine: Engine, home: Home) -> None:
    """Remove what a power cut left of a container that would not have outlived it."""
    lock = home.try_lock()
    if lock is None:
        return
    try:
        if home.is_lost():
            remove_files(
                home,
                places.containers_of(engine),
                _name_of(engine, home.id),
                places.snapshot_of(engine, home.id),
            )
    finally:
        lock.close()


def _finish(engine: Engine, home: Home) -> None:
    """Remove what a killed creation or removal left; nothing while it is under way."""
    lock = home.try_lock()
    if lock is None:
        return
    try:
        if home.state().status in ("creating", "removing"):
            _remove(engine, home)
    finally:
        lock.close()


def _remove(engine: Engine, home: Home) -> None:
    try:
        config = home.config()
    except NotFound:
        name = _name_of(engine, home.id)
    else:
        name = config.name
        _forget_runtime(home, config)
    remove_files(home, places.containers_of(engine), name, places.snapshot_of(engine, home.id))


def _name_of(engine: Engine, identifier: str) -> str:
    """The name that was reserved for a container whose configuration was not written any more."""
    found = (name for name, holder in _all_names(places.containers_of(engine)) if holder == identifier)
    return next(found, "")


def _bury(engine: Engine, home: Home) -> Container | None:
    """Clear up behind a monitor that was killed, or a machine that went down."""
    lock = home.lock()
    try:
        config, state = home.config(), home.state()
        if not state.is_alive or home.is_monitored():  # somebody else was faster
            return Container(home, config, state)
        is_rebooted = state.boot != boot_id()
        if not is_rebooted:
            log.warning(
                __name__, f"the monitor of container {config.name} was killed: its processes are ended now"
            )
            _end_processes(state)
            _forget_runtime(home, config)
        cgroups.remove(home.path)
        why = "the machine went down" if is_rebooted else "its monitor was killed"
        status = _AFTER_REBOOT if is_rebooted else KILLED
        ended = state.but(
            status="exited",
            pid=0,
            pid_start=0,
            exit_code=status,
            error=why,
            finished_at=now(),
            is_paused=False,
        )
        home.write_end(ended, written=state)
        events.record(places.containers_of(engine), "die", config, exitCode=str(status))
        if config.is_removed_at_end:
            _remove(engine, home)
            events.record(places.containers_of(engine), "destroy", config)
            return None
        return Container(home, config, ended)
    finally:
        lock.close()


def _forget_runtime(home: Home, config: ContainerConfig) -> None:
    """Another runtime leaves records and control groups where it is killed along with our monitor."""
    if config.spec.runtime:
        from runner import oci_runtime

        oci_runtime.clear_away(config.spec.runtime, home.path)


def _end_processes(state: ContainerState) -> None:
    """End the first process, and so all: set-user-id programs survive the death of their parent."""
    if not state.pid or process_start(state.pid) != state.pid_start:
        return
    try:
        pidfd = os.pidfd_open(state.pid)
    except ProcessLookupError:
        return
    try:
        if process_start(state.pid) == state.pid_start:
            linux.pidfd_send_signal(pidfd, signals.SIGKILL)
            wait_for_end(pidfd)
    except ProcessLookupError:
        return
    finally:
        os.close(pidfd)


def wait_for_end(pidfd: int) -> None:
    """Wait until the process has ended; its own parent, or whoever took its place, reaps it."""
    import select

    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    poll.poll()


def _remove_late(engine: Engine, home: Home, config: ContainerConfig) -> None:
    lock = home.try_lock()
    if lock is None:
        return
    try:
        _remove(engine, home)
        events.record(places.containers_of(engine), "destroy", config)
    finally:
        lock.close()
