"""Which devices a container may open, for the device controllers of control groups."""

from __future__ import annotations

import os
import stat

from runner import device_nodes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from runner.confinement import Device

# What the runtime-spec has every container have, and any mknod(2): as cgroup v1's devices.allow takes it.
_USUAL = (
    "c *:* m", "b *:* m", "c 1:3 rwm", "c 1:5 rwm", "c 1:7 rwm", "c 1:8 rwm", "c 1:9 rwm", "c 5:0 rwm",
    "c 5:1 rwm", "c 5:2 rwm", "c 136:* rwm",
)  # fmt: skip


def are_needed(devices: Iterable[Device]) -> bool:
    """Whether one of `devices` may not be read or not be written, which no mount can say."""
    return any(not {"r", "w"} <= set(device.permissions) for device in devices)


def allowing(devices: Iterable[Device]) -> tuple[str, ...]:
    """The rules for a container with `devices`. Raises ``OSError`` for one that is gone."""
    rules = []
    for device in devices:
        for _, _, found in device_nodes.expand(device):
            kind = "b" if stat.S_ISBLK(found.st_mode) else "c"
            number = f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"
            rules.append(f"{kind} {number} {device.permissions}")
    return (*_USUAL, *rules)
