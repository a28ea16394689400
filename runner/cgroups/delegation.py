"""Which group of version 2 is ours to make groups in.

cgroups(7), "no internal processes": a group that hands controllers on has no process of its own. So whoever looks after
a container steps aside into a group of its own below.
"""

from __future__ import annotations

import os

from runner.cgroups import systemd
from runner.cgroups.group import read, write
from runner.cgroups.host import Host, this_host
from runner.failure import Doing

# Where the process that looks after a container goes.
ASIDE = "lstore"
# systemd marks with one of these what it has delegated: systemd.resource-control(5).
_MARKS = ("user.delegate", "trusted.delegate")


def base(host: Host, name: str) -> str:
    """The directory to make a container's group in. May move this process.

    Under systemd that is a scope, `name` being the first part of its name. Raises `LaunchError`, `MissingFeature`.
    """
    own = host.unified
    if os.path.basename(own) == ASIDE and is_delegated(os.path.dirname(own)):
        return os.path.dirname(own)
    if not is_delegated(own) and os.path.isdir(systemd.RUNNING):
        socket = systemd.socket_path(os.geteuid())
        if os.path.exists(socket):
            systemd.start_scope(f"{name}.scope", os.getpid(), socket)
            own = this_host().unified
    if is_delegated(own):
        _step_aside(own)
    return own


def is_delegated(directory: str) -> bool:
    """Whether systemd has left `directory` to us."""
    for name in _MARKS:
        try:
            if os.getxattr(directory, name) == b"1":
                return True
        except OSError:
            continue
    return False


def _step_aside(directory: str) -> None:
    """Where this process is alone in `directory`, move it below; others are not ours to move."""
    if read(directory, "cgroup.procs").split() != [str(os.getpid())]:
        return
    with Doing("make room in the control group"):
        os.makedirs(f"{directory}/{ASIDE}", exist_ok=True)
        write(f"{directory}/{ASIDE}/cgroup.procs", "0")
