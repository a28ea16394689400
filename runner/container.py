"""A container as values: what it was made as, and how it is."""

from __future__ import annotations

import time

from layerstore.value import Value
from runner.restart import RestartPolicy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Literal

    from runner.health import HealthCheck
    from runner.spec import Network, ProcessSpec

    Status = Literal["creating", "created", "running", "restarting", "exited"]
    HealthStatus = Literal["", "starting", "healthy", "unhealthy"]

NEVER = "0001-01-01T00:00:00Z"
"""Docker's, and Go's, moment that has not come."""
MAX_LOG_SIZE = 10 << 20
MAX_LOG_FILES = 5
JSON_FILE = "json-file"
NO_LOG = "none"


class ContainerConfig(Value):
    """All that a container was asked to be. Text but for `created_ns`, nanoseconds since the epoch."""

    id: str
    name: str
    created_ns: int
    image: str
    image_id: str
    diff_ids: tuple[str, ...]
    spec: ProcessSpec
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    network: Network = "none"
    has_terminal: bool = False
    has_input: bool = False
    """Whether standard input is a pipe that clients write to; else it is empty."""
    closes_input: bool = False
    """Whether the first client that goes away ends that input."""
    labels: Mapping[str, str] = {}
    stop_signal: int = 15
    stop_timeout: int = 10
    restart: RestartPolicy = RestartPolicy()
    is_removed_at_end: bool = False
    attached: tuple[str, ...] = ()
    """Which of "stdin", "stdout" and "stderr" its creator wanted to be joined with."""
    log_driver: str = JSON_FILE
    log_size: int = MAX_LOG_SIZE
    log_files: int = MAX_LOG_FILES
    health: HealthCheck | None = None


class Probe(Value):
    """One health check that was made: docker's ``State.Health.Log``."""

    start: str
    end: str
    exit_code: int
    output: str


class ContainerState(Value):
    """How a container is, or last was; times are RFC 3339.

    `pid` and `pid_start`, the process's start as proc(5) has it, name the first process, 0 where there is
    none. `is_stopped` says that somebody asked for its end, so that no policy starts it again.
    """

    status: Status = "created"
    pid: int = 0
    pid_start: int = 0
    exit_code: int = 0
    error: str = ""
    started_at: str = NEVER
    finished_at: str = NEVER
    is_stopped: bool = False
    is_paused: bool = False
    is_oom_killed: bool = False
    restarts: int = 0
    health: HealthStatus = ""
    failing: int = 0
    probes: tuple[Probe, ...] = ()
    boot: str = ""

    @property
    def is_alive(self) -> bool:
        """Whether a monitor looks after it, or should."""
        return self.status in ("running", "restarting")

    def but(self, **changed: object) -> ContainerState:
        """A copy with other fields."""
        return ContainerState(**{**vars(self), **changed})


CREATING = ContainerState("creating")
"""While whoever makes it is at it."""


def rfc3339(nanoseconds: int) -> str:
    """A moment as docker writes it, in UTC, to the nanosecond."""
    seconds, fraction = divmod(nanoseconds, 10**9)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{fraction:09d}Z"


def now() -> str:
    """The present moment, RFC 3339."""
    return rfc3339(time.time_ns())
