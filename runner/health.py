"""Health checks: docker's rules for when a container is starting, healthy or unhealthy. Pure.

Dockerfile reference, "HEALTHCHECK". `runner.monitor` makes the checks.
"""

from __future__ import annotations

from layerstore.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runner.container import ContainerState, Probe

SECOND = 10**9
MAX_OUTPUT = 4096
KEPT_PROBES = 5


class HealthCheck(Value):
    """What is run inside, and how often; nanoseconds, as image configurations have them."""

    args: tuple[str, ...]
    interval: int = 30 * SECOND
    timeout: int = 30 * SECOND
    start_period: int = 0
    start_interval: int = 5 * SECOND
    retries: int = 3

    def wait(self, state: ContainerState, since_start: float) -> float:
        """Seconds from the end of one check to the next, `since_start` seconds after the container's start."""
        is_starting = state.health == "starting" and since_start * SECOND < self.start_period
        return (self.start_interval if is_starting else self.interval) / SECOND

    def judge(self, state: ContainerState, probe: Probe, since_start: float) -> ContainerState:
        """`state` after one more `probe`. Failures within the start period count only once one was a success."""
        probes = (*state.probes, probe)[-KEPT_PROBES:]
        if probe.exit_code == 0:
            return state.but(health="healthy", failing=0, probes=probes)
        if state.health == "starting" and since_start * SECOND < self.start_period:
            return state.but(probes=probes)
        failing = state.failing + 1
        health = "unhealthy" if failing >= self.retries else state.health
        return state.but(health=health, failing=failing, probes=probes)
