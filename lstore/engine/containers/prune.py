"""`container prune`, `system restore`: what does not run goes, and what should run comes back."""

from __future__ import annotations

from layerstore.errors import LstoreError, UsageError
from layerstore.value import Value
from lstore.engine.containers.list import ContainerQuery, select, size_on_disk
from lstore.engine.containers.remove import remove
from lstore.engine.containers.start import start
from lstore.engine.containers.upkeep import sweep
from runner.container import rfc3339

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lstore.engine.engine import Engine


class Pruned(Value):
    """The ids of the containers that were removed, and the bytes that they took."""

    ids: tuple[str, ...]
    size: int


def prune_containers(
    engine: Engine, *, until: str = "", unused_since: str = "", filters: Mapping[str, Sequence[str]]
) -> Pruned:
    """Remove every container that does not run, and what killed launchers left.

    Only those made before `until` and not run since `unused_since` (RFC 3339), and those that pass `filters`
    (label, label!). Raises `UsageError`.
    """
    for key in filters:
        if key not in ("label", "label!"):
            raise UsageError(f"invalid filter {key!r}: there are label, label!, until")
    sweep(engine)
    gone: list[str] = []
    size = 0
    for container in select(engine, ContainerQuery(True, None, filters)):
        made = rfc3339(container.config.created_ns)
        last_used = max(made, container.state.finished_at)
        if container.state.is_alive or _is_later(made, until) or _is_later(last_used, unused_since):
            continue
        used = size_on_disk(engine, container)
        try:
            remove(engine, container.config.id)
        except LstoreError:
            continue  # somebody started or removed it meanwhile
        gone.append(container.config.id)
        size += used
    return Pruned(tuple(gone), size)


def _is_later(moment: str, limit: str) -> bool:
    """Whether `moment` is not before `limit`, where there is one."""
    return bool(limit) and moment >= limit


class Restored(Value):
    """The names of the containers that run again, and why others do not."""

    names: tuple[str, ...]
    failures: tuple[LstoreError, ...]


def restore(engine: Engine) -> Restored:
    """After a start of the machine: clear up stale state, and start what its policy wants to run.

    That is what ran, with ``always`` or ``unless-stopped``, when the machine went down; with ``always`` also
    what somebody had stopped. Idempotent.
    """
    sweep(engine)
    names: list[str] = []
    failures: list[LstoreError] = []
    for container in reversed(select(engine, ContainerQuery(True))):
        state, policy = container.state, container.config.restart
        if state.is_alive or state.status != "exited" or not policy.survives_reboot:
            continue
        if state.is_stopped and policy.name != "always":
            continue
        try:
            start(engine, container.config.id)
        except LstoreError as error:
            failures.append(error)
        else:
            names.append(container.config.name)
    return Restored(tuple(names), tuple(failures))
