"""How far a container is shut in, as a value: namespaces, devices, privileges, kernel settings."""

from __future__ import annotations

from layerstore.errors import UsageError
from layerstore.value import Value

OWN = ""
HOST = "host"
CONTAINER = "container:"
UNCONFINED = "unconfined"
DEFAULT_SHM_SIZE = 64 << 20
# sysctl(8) names that a namespace keeps apart from the host's: what docker lets through.
_IPC_SETTINGS = frozenset(
    f"kernel.{name}"
    for name in ("msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni", "shm_rmid_forced")
)
_LEAST_OOM_SCORE, _MOST_OOM_SCORE = -1000, 1000


class Sharing(Value):
    """Whose namespaces a container is in: `OWN`, `HOST`, or `CONTAINER` and the whole id of another."""

    pid: str = OWN
    ipc: str = OWN
    uts: str = OWN
    cgroup: str = OWN

    def _check(self) -> None:
        for name in self._fields:
            chosen = getattr(self, name)
            joins = chosen.startswith(CONTAINER) and name in ("pid", "ipc")
            if chosen not in (OWN, HOST) and not joins:
                raise UsageError(f"cannot share the {name} namespace as {chosen!r}")


class Device(Value):
    """The host's device node `source` at `target` inside; `permissions` are of "rwm" (cgroup v1 devices.allow)."""

    source: str
    target: str
    permissions: str = "rwm"

    def _check(self) -> None:
        if not self.permissions or self.permissions.strip("rwm"):
            raise UsageError(f"invalid device permissions {self.permissions!r}: they are of r, w and m")
        if not self.target.startswith("/") or not self.source.startswith("/"):
            raise UsageError(f"invalid device {self.source}: both paths must be absolute")


class ResourceLimit(Value):
    """setrlimit(2): `name` without its RLIMIT_; -1 is unlimited."""

    name: str
    soft: int
    hard: int

    def _check(self) -> None:
        if self.hard >= 0 and not 0 <= self.soft <= self.hard:
            raise UsageError(f"cannot limit {self.name.lower()}: its soft limit is over the hard one")


class Confinement(Value):
    """What a container is kept from. The defaults are docker's.

    `seccomp` is "" for our filter, `UNCONFINED`, or a program in hexadecimal (`runner.seccomp_profile`) made of the
    text `seccomp_profile`. `sysctls` holds (name, value). With `is_privileged` nothing of /proc and /sys is masked
    or read-only and all devices are there; capabilities and seccomp are said apart. `id_range` is the first uid and
    gid of the host that ids inside are, and how many: None for the host's own.
    """

    is_privileged: bool = False
    seccomp: str = ""
    seccomp_profile: str = ""
    has_no_new_privileges: bool = False
    shows_system_paths: bool = False
    devices: tuple[Device, ...] = ()
    resource_limits: tuple[ResourceLimit, ...] = ()
    sysctls: tuple[tuple[str, str], ...] = ()
    oom_score_adj: int | None = None
    shm_size: int = DEFAULT_SHM_SIZE
    sharing: Sharing = Sharing()
    id_range: tuple[int, int, int] | None = None

    @property
    def masks_paths(self) -> bool:
        """Whether what tells of the host in /proc and /sys is hidden, and its settings are read-only."""
        return not (self.is_privileged or self.shows_system_paths)

    def _check(self) -> None:
        score = self.oom_score_adj
        if score is not None and not _LEAST_OOM_SCORE <= score <= _MOST_OOM_SCORE:
            raise UsageError(f"invalid OOM score {score}: it must be from -1000 to 1000")
        if self.shm_size <= 0:
            raise UsageError("cannot make /dev/shm without a size: it must be greater than 0")
        for name, _ in self.sysctls:
            self._check_sysctl(name)

    def _check_sysctl(self, name: str) -> None:
        if name in _IPC_SETTINGS or name.startswith("fs.mqueue."):
            is_hosts = self.sharing.ipc != OWN
        elif name == "kernel.domainname":
            is_hosts = self.sharing.uts != OWN
        elif name.startswith("net."):
            is_hosts = False
        else:
            raise UsageError(f"cannot set {name}: no namespace keeps it apart from the host's")
        if is_hosts or "/" in name or ".." in name:
            raise UsageError(f"cannot set {name}: the container does not have that namespace to itself")
