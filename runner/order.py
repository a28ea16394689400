"""What a launcher tells the monitor that it starts: the container, and what its root filesystem is made of."""

from __future__ import annotations

from layerstore.mount import Directory, ErofsImage, MountStack
from layerstore.value import Value
from runner import record
from runner.container import ContainerConfig, ContainerState, Probe
from runner.home import INNER

# The descriptors that a monitor is born with.
ORDER_FD = 3
REPORT_FD = 4
LOCK_FD = 5
CLIENT_FD = 6

STARTED = b"\0"
"""What a monitor reports once the container runs; else a report of `runner.failure`."""


class Order(Value):
    """`state` is how the container was before, `containers` the directory of all, `snapshot` what goes with this one.

    With `has_client`, `CLIENT_FD` is the first client's connection, which sees all output from the start on.
    `rows` and `columns` are the first size of its terminal.
    """

    config: ContainerConfig
    state: ContainerState
    stack: MountStack
    containers: str
    snapshot: str
    has_client: bool = False
    rows: int = 0
    columns: int = 0

    def to_bytes(self) -> bytes:
        """For a pipe."""
        return record.pack(self)


def parse(raw: bytes) -> Order:
    """What `Order.to_bytes` wrote."""
    kinds = (*INNER, ContainerConfig, ContainerState, Probe, MountStack, ErofsImage, Directory)
    return record.unpack(raw, Order, kinds)
