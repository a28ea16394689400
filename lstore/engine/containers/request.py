"""What is asked of a new container, and the configuration that comes of it and of the image's defaults."""

from __future__ import annotations

import time

from layerstore.errors import UsageError
from layerstore.value import Value
from lstore.engine.isolation import IsolationRequest, isolated, shared_network
from runner.container import JSON_FILE, MAX_LOG_FILES, MAX_LOG_SIZE, ContainerConfig
from runner.health import HealthCheck
from runner.restart import RestartPolicy
from runner.signals import parse_signal
from runner.spec import ProcessSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Literal

    from layerstore.oci.document import Json
    from layerstore.oci.platform import Platform
    from lstore.engine.containers.image_facts import ImageFacts
    from runner.spec import Network

    Policy = Literal["missing", "always", "never"]

TERMINAL = "TERM=xterm"
"""What a container with a terminal is told of it, as docker does."""

_HOSTNAME_LENGTH = 12


class HealthRequest(Value):
    """``--health-*``: what is None is as the image has it; times in nanoseconds."""

    command: str | None = None
    interval: int | None = None
    timeout: int | None = None
    start_period: int | None = None
    start_interval: int | None = None
    retries: int | None = None
    is_off: bool = False


class ContainerRequest(Value):
    """What ``lstore create`` was asked for; what is None is as the image has it."""

    image: str
    command: tuple[str, ...] = ()
    name: str | None = None
    entrypoint: str | None = None
    env: tuple[str, ...] = ()
    cwd: str | None = None
    user: str | None = None
    hostname: str | None = None
    network: Network = "none"
    is_read_only: bool = False
    platform: Platform | None = None
    pull: Policy = "missing"
    has_terminal: bool = False
    has_input: bool = False
    is_detached: bool = True
    attached: tuple[str, ...] = ()
    is_removed_at_end: bool = False
    has_init: bool = False
    labels: Mapping[str, str] = {}
    stop_signal: str | None = None
    stop_timeout: int | None = None
    restart: str = "no"
    log_driver: str = JSON_FILE
    log_size: int = MAX_LOG_SIZE
    log_files: int = MAX_LOG_FILES
    health: HealthRequest = HealthRequest()
    isolation: IsolationRequest = IsolationRequest()

    def _check(self) -> None:
        if self.is_removed_at_end and RestartPolicy.parse(self.restart).name != "no":
            raise UsageError(
                "cannot both restart a container and remove it at its end", hint="leave out --rm"
            )


def configure(
    request: ContainerRequest,
    image: ImageFacts,
    *,
    identifier: str,
    name: str,
    find: Callable[[str], str],
) -> ContainerConfig:
    """The configuration of a container of `image`; `find` gives other containers' whole ids.

    Raises `UsageError`, `MissingFeature`, `NotFound`.
    """
    entrypoint, command = _words(request, image.entrypoint, image.cmd)
    spec = ProcessSpec(
        args=(*entrypoint, *command),
        env=(*image.env, *((TERMINAL,) if request.has_terminal else ()), *request.env),
        cwd=request.cwd or image.working_dir or "/",
        user=request.user if request.user is not None else image.user,
        hostname=request.hostname or identifier[:_HOSTNAME_LENGTH],
        is_read_only=request.is_read_only,
        has_init=request.has_init,
    )
    spec = isolated(spec, request.isolation, find, network=request.network)
    return ContainerConfig(
        id=identifier,
        name=name,
        created_ns=time.time_ns(),
        image=request.image,
        image_id=image.image_id,
        diff_ids=image.diff_ids,
        spec=spec,
        entrypoint=tuple(entrypoint),
        command=tuple(command),
        network=shared_network(request.network, find),
        has_terminal=request.has_terminal,
        has_input=request.has_input,
        closes_input=request.has_input and not request.is_detached,
        labels={**dict(image.labels), **request.labels},
        stop_signal=parse_signal(request.stop_signal or image.stop_signal or "SIGTERM"),
        stop_timeout=10 if request.stop_timeout is None else request.stop_timeout,
        restart=RestartPolicy.parse(request.restart),
        is_removed_at_end=request.is_removed_at_end,
        attached=request.attached,
        log_driver=request.log_driver,
        log_size=request.log_size,
        log_files=request.log_files,
        health=check_of(request.health, image.healthcheck),
    )


def _words(
    request: ContainerRequest, entrypoint: Sequence[str], command: Sequence[str]
) -> tuple[Sequence[str], Sequence[str]]:
    """Docker's rules: an entrypoint of the request's own discards the image's command (docker run, "--entrypoint")."""
    if request.entrypoint is not None:
        return ((request.entrypoint,) if request.entrypoint else ()), request.command
    return entrypoint, request.command or command


def check_of(request: HealthRequest, image: Mapping[str, Json]) -> HealthCheck | None:
    """The request's check over the image's ``Healthcheck`` (docker's image-spec, v1.2)."""
    if request.is_off:
        return None
    args = ("/bin/sh", "-c", request.command) if request.command else _test(image.get("Test"))
    if not args:
        return None
    chosen = {
        "interval": request.interval or _number(image, "Interval"),
        "timeout": request.timeout or _number(image, "Timeout"),
        "start_period": request.start_period or _number(image, "StartPeriod"),
        "start_interval": request.start_interval or _number(image, "StartInterval"),
        "retries": request.retries or _number(image, "Retries"),
    }
    return HealthCheck(args, **{name: value for name, value in chosen.items() if value})


def _test(test: Json) -> tuple[str, ...]:
    words = [each for each in test if isinstance(each, str)] if isinstance(test, list) else []
    match words:
        case ["CMD", *args]:
            return tuple(args)
        case ["CMD-SHELL", text]:
            return ("/bin/sh", "-c", text)
    return ()


def _number(source: Mapping[str, Json], name: str) -> int:
    value = source.get(name)
    return value if isinstance(value, int) and value > 0 else 0
