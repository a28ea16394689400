"""Control groups: limits, statistics, freezing and killing of all that runs in one container. cgroups(7).

A container's group lies below the group of whoever starts it, or in a scope of systemd's own where systemd
rules the tree. `host` tells what this host has, `version1` and `version2` decide what is written (pure),
`group` writes it, `usage` reads what was used.
"""

from __future__ import annotations

from runner.cgroups.group import Group
from runner.cgroups.making import create, load, of_process, remove, remove_called
from runner.cgroups.usage import Usage, measure, oom_kills

__all__ = [
    "Group",
    "Usage",
    "create",
    "load",
    "measure",
    "of_process",
    "oom_kills",
    "remove",
    "remove_called",
]
