"""The namespaces of a container, and the ids of its user namespace where the launcher is not root.

namespaces(7), user_namespaces(7). Everything but the network is always new; the network is new and empty
(loopback only) or the host's.
"""

from __future__ import annotations

import os
import pwd

from layerstore import linux
from layerstore.errors import LaunchError
from layerstore.value import Value
from runner.confinement import OWN, Sharing
from runner.failure import Doing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from runner.spec import Network

# The cgroup namespace comes later: its root is the group that a process is in as it unshares.
_ALL_OWN = Sharing()
_SHAREABLE = (("pid", linux.CLONE_NEWPID), ("uts", linux.CLONE_NEWUTS), ("ipc", linux.CLONE_NEWIPC))
_MAX_SUBORDINATE_FILE = 1 << 20
_INSTALL_UIDMAP = (
    "apt-get install uidmap && usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER"
)


class Extent(Value):
    """`count` ids from `inside` on are those from `outside` on: one line of user_namespaces(7) uid_map."""

    inside: int
    outside: int
    count: int


class IdMap(Value):
    """Which ids of the host the ids inside are."""

    uids: tuple[Extent, ...]
    gids: tuple[Extent, ...]

    @property
    def is_single(self) -> bool:
        """Whether root is the only user inside."""
        return len(self.uids) == 1 and self.uids[0].count == 1


def clone_flags(network: Network, sharing: Sharing = _ALL_OWN, *, is_rootless: bool) -> int:
    """The CLONE_* flags that a container's first process is born with."""
    flags = linux.CLONE_NEWNS
    for name, flag in _SHAREABLE:
        if getattr(sharing, name) == OWN:
            flags |= flag
    if network == "none":
        flags |= linux.CLONE_NEWNET
    if is_rootless:
        flags |= linux.CLONE_NEWUSER
    return flags


def plan_id_map(uid: int, gid: int, name: str, subuid: str, subgid: str) -> IdMap:
    """Root inside is `uid` and `gid`; the ids from 1 up are the subordinate ones, where there are any.

    `subuid` and `subgid` are the texts of subuid(5) and subgid(5), which name their user or give its number.
    """
    uids = subordinate(subuid, name, str(uid))
    gids = subordinate(subgid, name, str(uid))
    if uids is None or gids is None:
        return IdMap((Extent(0, uid, 1),), (Extent(0, gid, 1),))
    return IdMap((Extent(0, uid, 1), uids), (Extent(0, gid, 1), gids))


def subordinate(text: str, *names: str) -> Extent | None:
    """The ids, from 1 inside on, that the `text` of subuid(5) keeps for the first line's owner among `names`."""
    for line in text.splitlines():
        fields = line.strip().split(":")
        if len(fields) == 3 and fields[0] in names and fields[1].isdigit() and fields[2].isdigit():
            return Extent(1, int(fields[1]), int(fields[2]))
    return None


def own_id_map() -> IdMap:
    """The id map of whoever runs this. Without newuidmap(1) in its usual place, the single one."""
    uid, gid = os.geteuid(), os.getegid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = str(uid)
    helpers = _helper("newuidmap") and _helper("newgidmap")
    return plan_id_map(
        uid, gid, name, _text("/etc/subuid") if helpers else "", _text("/etc/subgid") if helpers else ""
    )


def _helper(name: str) -> str | None:
    """Where a set-user-id helper is: never looked up in PATH."""
    return next((path for path in (f"/usr/bin/{name}", f"/bin/{name}") if os.access(path, os.X_OK)), None)


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(_MAX_SUBORDINATE_FILE)
    except FileNotFoundError:
        return ""


def map_ids(pid: int, id_map: IdMap) -> None:
    """Give the new user namespace of process `pid` its ids. Raises `LaunchError`."""
    if id_map.is_single:
        with Doing("map the user's id into the container", hint="sysctl user.max_user_namespaces"):
            # user_namespaces(7): without privilege, groups can be mapped only once setgroups(2) is given up.
            _write(f"/proc/{pid}/setgroups", "deny")
            _write(f"/proc/{pid}/uid_map", _lines(id_map.uids))
            _write(f"/proc/{pid}/gid_map", _lines(id_map.gids))
        return
    if os.geteuid() == 0:
        with Doing("map ids into the container"):
            _write(f"/proc/{pid}/uid_map", _lines(id_map.uids))
            _write(f"/proc/{pid}/gid_map", _lines(id_map.gids))
        return
    for helper, extents in (("newuidmap", id_map.uids), ("newgidmap", id_map.gids)):
        numbers = [str(n) for extent in extents for n in (extent.inside, extent.outside, extent.count)]
        if _run([_helper(helper) or helper, str(pid), *numbers]):
            raise LaunchError(
                f"cannot map subordinate ids into the container: {helper} failed", hint=_INSTALL_UIDMAP
            )


def _lines(extents: Iterable[Extent]) -> str:
    return "".join(f"{extent.inside} {extent.outside} {extent.count}\n" for extent in extents)


def _write(path: str, text: str) -> None:
    """In one write(2), as these files want it."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def _run(command: list[str]) -> int:
    """The exit status of `command`; 127 where it cannot be started."""
    try:
        pid = os.posix_spawn(command[0], command, {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
    except OSError:
        return 127
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def raise_loopback() -> None:
    """Bring up the loopback interface of this network namespace. Raises `LaunchError`."""
    with Doing("bring up the loopback interface"):
        fd = linux.socket(linux.AF_INET, linux.SOCK_DGRAM)
        try:
            linux.siocsifflags(fd, "lo", linux.siocgifflags(fd, "lo") | linux.IFF_UP)
        finally:
            os.close(fd)
