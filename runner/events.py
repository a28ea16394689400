"""What happened to containers: an append-only log of one JSON object a line, bounded. docker's events.

Several processes append; each line is one write(2) with O_APPEND, so lines never mix.
"""

from __future__ import annotations

import os
import time

from layerstore.disk import locks
from layerstore.disk.publish import move
from runner.record import as_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runner.container import ContainerConfig

NAME = "events"
MAX_SIZE = 1 << 20
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC


def event_path(containers: str, age: int = 0) -> str:
    """The log of the directory of all containers; age 1 is the older half."""
    return os.path.join(containers, f"{NAME}.{age}" if age else NAME)


def record(containers: str, action: str, config: ContainerConfig, **details: str) -> None:
    """Append that `action` happened to the container. What cannot be written is lost: it stops nothing."""
    moment = time.time_ns()
    attributes = {**config.labels, "image": config.image, "name": config.name, **details}
    event = {
        "Type": "container",
        "Action": action,
        "Actor": {"ID": config.id, "Attributes": dict(sorted(attributes.items()))},
        "scope": "local",
        "time": moment // 10**9,
        "timeNano": moment,
    }
    path = event_path(containers)
    try:
        fd = os.open(path, _FLAGS, 0o600)
        try:
            os.write(fd, as_json(event).encode() + b"\n")
            size = os.fstat(fd).st_size
        finally:
            os.close(fd)
        if size > MAX_SIZE:
            _rotate(containers)
    except OSError:
        return


def _rotate(containers: str) -> None:
    with locks.exclusive(os.path.join(containers, f"{NAME}.lock")):
        path = event_path(containers)
        if os.stat(path).st_size > MAX_SIZE:  # else another process was faster
            move(path, event_path(containers, 1))
