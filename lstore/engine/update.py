"""`update`: other limits or another restart policy for a container, at once where it runs, and for later runs."""

from __future__ import annotations

from layerstore.errors import MissingFeature, UsageError
from lstore.engine.containers.look import look
from lstore.engine.containers.talk import talking
from runner import cgroups, wire
from runner.container import ContainerConfig
from runner.limits import Limits
from runner.restart import RestartPolicy
from runner.spec import ProcessSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from lstore.engine.containers.look import Container
    from lstore.engine.engine import Engine


def update(engine: Engine, text: str, limits: Mapping[str, object], *, restart: str | None = None) -> None:
    """Give the container the `limits`, values by fields of `Limits`, and the policy `restart`. Durable.

    The kernel has the last word, so a limit that it refuses is not written down. Raises `NotFound`, `Conflict`,
    `UsageError`, `MissingFeature`, `LaunchError`.
    """
    policy = None if restart is None else RestartPolicy.parse(restart)
    container = look(engine, text)
    lock = container.home.lock()
    try:
        config = container.home.config()
        if policy is not None and policy.name != "no" and config.is_removed_at_end:
            raise UsageError("cannot restart a container that is removed at its end")
        merged = config.spec.limits.but(limits)
        if container.state.is_alive and merged != config.spec.limits:
            _enforce(container, merged)
        spec = ProcessSpec(**{**vars(config.spec), "limits": merged})
        container.home.write_config(
            ContainerConfig(**{**vars(config), "spec": spec, "restart": policy or config.restart})
        )
    finally:
        lock.close()
    if restart is not None and container.state.is_alive:
        with talking(container) as talk:
            talk.ask(wire.POLICY, restart.encode())


def _enforce(container: Container, limits: Limits) -> None:
    group = cgroups.load(container.home.path)
    if group is None:
        raise MissingFeature(
            f"cannot limit {container.config.name}: it has no control group", hint="lstore info"
        )
    # What was said about devices at its start holds; to say it again would deny all of them for a moment.
    group.change(limits.but({"device_rules": None}))
