"""Kernel settings that a container's namespaces have to themselves: sysctl(8), proc(5) /proc/sys."""

from __future__ import annotations

import os

from runner.failure import Doing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def write(settings: Iterable[tuple[str, str]]) -> None:
    """Write (name, value) for the namespaces of the calling process. Raises `LaunchError`.

    `runner.confinement.Confinement` has seen to it that no name reaches past them. The host's /proc is still
    there: the kernel gives each process its own namespaces' settings in it.
    """
    for name, value in settings:
        with Doing(f"set {name} to {value}", hint="sysctl -a"):
            fd = os.open(f"/proc/sys/{name.replace('.', '/')}", os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.write(fd, value.encode())
            finally:
                os.close(fd)
