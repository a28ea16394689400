"""/etc/hosts, /etc/hostname and /etc/resolv.conf: each container's own, bound over whatever its image has."""

from __future__ import annotations

import os

from runner.confinement import CONTAINER
from runner.failure import Doing
from runner.spec import Mount

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from runner.spec import Names, Network, ProcessSpec

_HOSTS = """127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::\tip6-localnet
ff00::\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
"""
_NAMES = ("hosts", "hostname", "resolv.conf")
_RESOLVERS_OF_HOST = "/etc/resolv.conf"
_MAX_RESOLVERS = 1 << 20


def write(spec: ProcessSpec, network: Network, state_dir: str) -> tuple[Mount, ...]:
    """Write the files into `state_dir`; returns the mounts that show them. Raises `LaunchError`.

    Without a network there are no resolvers; with the host's network there are the host's. Who shares another
    container's network shares its files.
    """
    if network.startswith(CONTAINER):
        other = f"{os.path.dirname(state_dir)}/{network.removeprefix(CONTAINER)}"
        return tuple(Mount(f"/etc/{name}", f"{other}/{name}") for name in _NAMES)
    contents = {
        "hosts": _HOSTS + "".join(f"{address}\t{name}\n" for name, address in spec.names.hosts),
        "hostname": f"{spec.hostname}\n",
        "resolv.conf": _resolvers(spec.names, _host_resolvers() if network == "host" else ""),
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


def _resolvers(names: Names, host: str) -> str:
    """`host` with each kind of line that `names` has in place of its own."""
    own = {
        "nameserver": [*names.servers],
        "search": [" ".join(names.search)],
        "options": [" ".join(names.options)],
    }
    chosen = {word: values for word, values in own.items() if any(values)}
    kept = [line for line in host.splitlines(keepends=True) if not _replaces(chosen, line)]
    return "".join(kept) + "".join(f"{word} {value}\n" for word, values in chosen.items() for value in values)


def _replaces(chosen: Mapping[str, list[str]], line: str) -> bool:
    return line.split(" ", 1)[0].strip() in chosen


def _host_resolvers() -> str:
    try:
        with open(_RESOLVERS_OF_HOST, encoding="utf-8", errors="surrogateescape") as file:
            return file.read(_MAX_RESOLVERS)
    except FileNotFoundError:
        return ""
