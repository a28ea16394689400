"""What is to run, and in what surroundings, as values: all that the launcher reads, and never our own environment."""

from __future__ import annotations

from layerstore.errors import UsageError
from layerstore.value import Value
from runner.capabilities import DEFAULT
from runner.confinement import Confinement
from runner.limits import Limits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    Network = str  # "none", "host", or "container:" and the whole id of another
    Propagation = Literal["private", "slave", "shared"]

# runc and docker give this where the image's Env has none.
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# uts_namespaces(7): __NEW_UTS_LEN.
_LONGEST_HOSTNAME = 64


class Mount(Value):
    """One mount that was asked for: `source` of the host bound at `target`, a fresh tmpfs without a source.

    `target` is resolved inside the container's root, whatever links the image has there. `options` are the
    tmpfs's own ("size", "mode", …); `flags` are mount flags of it that docker's defaults lack ("exec").
    `propagation` says whether later mounts below a bound directory go in ("slave"), and out ("shared").
    """

    target: str
    source: str | None = None
    is_read_only: bool = False
    options: tuple[tuple[str, str | None], ...] = ()
    flags: tuple[str, ...] = ()
    propagation: Propagation = "private"
    is_recursive: bool = True

    def _check(self) -> None:
        if not self.target.strip("/."):
            raise UsageError(f"cannot mount at {self.target!r}: a container has one root")


class Names(Value):
    """What names mean inside: `hosts` holds (name, address) for /etc/hosts, the rest is for resolv.conf(5)."""

    hosts: tuple[tuple[str, str], ...] = ()
    servers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


class ProcessSpec(Value):
    """One process: `args` in `cwd` as `user` ("user[:group]", names or numbers of the container's own files).

    `env` holds KEY=VALUE entries, the later one winning; an entry without ``=`` names a variable without
    giving it and is left out: it never takes the value that the host has. `capabilities` are those that
    uid 0 has and that nobody inside can ever pass. With `has_init` the first process is ours, and reaps.
    `limits` hold for the container as a whole; `groups` are further groups of the user, names or numbers.
    `runtime` names another program that runs the container (`runner.oci_runtime`) in place of our launcher.
    """

    args: tuple[str, ...]
    env: tuple[str, ...] = ()
    cwd: str = "/"
    user: str = ""
    hostname: str = "localhost"
    mounts: tuple[Mount, ...] = ()
    is_read_only: bool = False
    capabilities: frozenset[str] = DEFAULT
    has_init: bool = False
    limits: Limits = Limits()
    confinement: Confinement = Confinement()
    groups: tuple[str, ...] = ()
    names: Names = Names()
    runtime: str = ""

    def _check(self) -> None:
        if not self.args or not self.args[0]:
            raise UsageError("cannot run nothing: neither the command line nor the image names a command")
        texts = (*self.args, *self.env, self.cwd, self.user, self.hostname)
        if any("\0" in text for text in texts):
            raise UsageError("cannot run a command with a NUL in its arguments, environment or directory")
        if not 0 < len(self.hostname.encode()) <= _LONGEST_HOSTNAME:
            raise UsageError(f"cannot name the host {self.hostname!r}: 1 to {_LONGEST_HOSTNAME} bytes")

    def environment(self, *, home: str) -> dict[str, str]:
        """The process's whole environment: `env` over the defaults for PATH, HOSTNAME and HOME."""
        variables = {"PATH": DEFAULT_PATH, "HOSTNAME": self.hostname, "HOME": home}
        for entry in self.env:
            name, given, value = entry.partition("=")
            if given and name:
                variables[name] = value
        return variables
