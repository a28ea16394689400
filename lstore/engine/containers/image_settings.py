"""What of a container's settings a commit puts into its image: those that docker takes over, too."""

from __future__ import annotations

from signal import SIGRTMIN, Signals

from lstore.engine.containers.request import TERMINAL, HealthRequest, check_of
from runner.signals import parse_signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from layerstore.oci.document import Json
    from runner.container import ContainerConfig


def settings_of(config: ContainerConfig, image: Mapping[str, Json]) -> dict[str, Json]:
    """The fields of an image's ``config`` that the container of `config` has otherwise than `image`, or anyway.

    Raises `UsageError` for a signal without a name.
    """
    spec = config.spec
    return {
        "Env": [*_environment(config)],
        "Entrypoint": list(config.entrypoint),
        "Cmd": list(config.command),
        "WorkingDir": spec.cwd,
        "User": spec.user,
        "Labels": dict(config.labels),
        **_stop_signal(config, image),
        **_healthcheck(config, image),
    }


def _environment(config: ContainerConfig) -> tuple[str, ...]:
    """One value of each name, the last one, without what a terminal alone brought."""
    words = list(config.spec.env)
    if config.has_terminal:
        words.remove(TERMINAL)
    return tuple({word.partition("=")[0]: word for word in words}.values())


def _stop_signal(config: ContainerConfig, image: Mapping[str, Json]) -> dict[str, Json]:
    if config.stop_signal == parse_signal(str(image.get("StopSignal") or "SIGTERM")):
        return {}
    return {"StopSignal": _name_of(config.stop_signal)}


def _name_of(number: int) -> str:
    """As the image-spec has it (config.md, "StopSignal")."""
    return Signals(number).name if number < SIGRTMIN else f"SIGRTMIN+{number - SIGRTMIN}"


def _healthcheck(config: ContainerConfig, image: Mapping[str, Json]) -> dict[str, Json]:
    found = image.get("Healthcheck")
    inherited = check_of(HealthRequest(), found if isinstance(found, dict) else {})
    check = config.health
    if check == inherited:
        return {}
    if check is None:
        return {"Healthcheck": {"Test": ["NONE"]}}
    is_shell = check.args[:2] == ("/bin/sh", "-c")
    return {
        "Healthcheck": {
            "Test": ["CMD-SHELL", *check.args[2:]] if is_shell else ["CMD", *check.args],
            "Interval": check.interval,
            "Timeout": check.timeout,
            "StartPeriod": check.start_period,
            "StartInterval": check.start_interval,
            "Retries": check.retries,
        }
    }
