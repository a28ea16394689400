"""/etc/hosts, /etc/hostname and /etc/resolv.conf: each container's own, bound over whatever its image has."""

from __future__ import annotations

import os

from runner.failure import Doing
from runner.spec import Mount

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runner.spec import Network, ProcessSpec

_HOSTS = """127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::\tip6-localnet
ff00::\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
"""
_RESOLVERS_OF_HOST = "/etc/resolv.conf"
_MAX_RESOLVERS = 1 << 20


def write(spec: ProcessSpec, network: Network, state_dir: str) -> tuple[Mount, ...]:
    """Write the files into `state_dir`; returns the mounts that show them. Raises `LaunchError`.

    Without a network there are no resolvers; with the host's network there are the host's.
    """
    contents = {
        "hosts": _HOSTS,
        "hostname": f"{spec.hostname}\n",
        "resolv.conf": _host_resolvers() if network == "host" else "",
    }
    mounts = []
    for name, text in contents.items():
        path = f"{state_dir}/{name}"
        with Doing(f"write the container's {name}"):
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
            fd = os.open(path, flags, 0o644)
            with open(fd, "w", encoding="utf-8", errors="surrogateescape") as file:
                os.fchmod(fd, 0o644)
                file.write(text)
        mounts.append(Mount(f"/etc/{name}", path))
    return tuple(mounts)


def _host_resolvers() -> str:
    try:
        with open(_RESOLVERS_OF_HOST, encoding="utf-8", errors="surrogateescape") as file:
            return file.read(_MAX_RESOLVERS)
    except FileNotFoundError:
        return ""
