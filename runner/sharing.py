"""Joining namespaces of another container: ``--network``, ``--ipc`` and ``--pid`` with ``container:ID``.

The other one is found by its state, and held by a pidfd that is checked against it: a process id alone may by now
be somebody else's.
"""

from __future__ import annotations

import os

from layerstore import linux
from layerstore.errors import LaunchError, MissingFeature
from layerstore.value import Value
from runner.confinement import CONTAINER, HOST
from runner.failure import Doing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runner.spec import ProcessSpec

_FLAGS = {"network": linux.CLONE_NEWNET, "ipc": linux.CLONE_NEWIPC, "pid": linux.CLONE_NEWPID}
_SHM = "dev/shm"  # the one part of an ipc namespace that is a mount of its own
_INSIDE = linux.RESOLVE_IN_ROOT | linux.RESOLVE_NO_SYMLINKS


class Others(Value):
    """Whom to join: (kind of namespace, pidfd of a process in it)."""

    joined: tuple[tuple[str, int], ...] = ()

    def close(self) -> None:
        """Close the descriptors."""
        for _, pidfd in self.joined:
            os.close(pidfd)

    @property
    def kept(self) -> tuple[int, ...]:
        """The descriptors that a child needs."""
        return tuple(pidfd for _, pidfd in self.joined)

    def pidfd(self, kind: str) -> int | None:
        """A process whose namespace of `kind` is to be joined."""
        return dict(self.joined).get(kind)


def find(spec: ProcessSpec, network: str, containers: str) -> Others:
    """Hold the containers, in the directory `containers`, that `spec` and `network` share namespaces with.

    Raises `LaunchError` for one that does not run, `MissingFeature` without root.
    """
    sharing = spec.confinement.sharing
    wanted = {"network": network, "ipc": sharing.ipc, "pid": sharing.pid}
    chosen = {
        kind: text.removeprefix(CONTAINER) for kind, text in wanted.items() if text.startswith(CONTAINER)
    }
    if chosen and os.geteuid() != 0:
        raise MissingFeature(
            "cannot join another container's namespaces without root", hint="sudo lstore run …"
        )
    return Others(tuple((kind, _hold(containers, identifier)) for kind, identifier in chosen.items()))


def _hold(containers: str, identifier: str) -> int:
    from runner.home import Home, process_start

    home = Home(containers, identifier)
    state = home.state()
    if not state.pid:
        raise LaunchError(f"cannot join container {identifier[:12]}: it does not run")
    with Doing(f"join container {identifier[:12]}"):
        pidfd = os.pidfd_open(state.pid)
    if process_start(state.pid) != state.pid_start:
        os.close(pidfd)
        raise LaunchError(f"cannot join container {identifier[:12]}: it does not run")
    return pidfd


def enter_pid(others: Others) -> int | None:
    """Have the calling process's next children be in the shared pid namespace; the descriptor to `leave_pid` with."""
    pidfd = others.pidfd("pid")
    if pidfd is None:
        return None
    own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    with Doing("join the process namespace"):
        linux.setns(pidfd, linux.CLONE_NEWPID)
    return own


def leave_pid(own: int) -> None:
    """Undo `enter_pid`."""
    linux.setns(own, linux.CLONE_NEWPID)
    os.close(own)


def enter(others: Others) -> None:
    """Move the calling process into the shared namespaces, but for the pid namespace."""
    for kind, pidfd in others.joined:
        if kind != "pid":
            with Doing(f"join the {kind} namespace"):
                linux.setns(pidfd, _FLAGS[kind])


def open_shm(ipc: str, others: Others) -> int | None:
    """A detached copy of the /dev/shm that goes with a shared ipc namespace. Raises `LaunchError`."""
    if ipc == HOST:
        with Doing("share the host's /dev/shm"):
            return linux.open_tree(linux.AT_FDCWD, f"/{_SHM}", linux.OPEN_TREE_CLONE)
    pidfd = others.pidfd("ipc")
    if pidfd is None:
        return None
    with Doing("share the other container's /dev/shm"):
        own = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        linux.setns(pidfd, linux.CLONE_NEWNS)
        root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return _clone_inside(root, _SHM)
        finally:
            os.close(root)
            linux.setns(own, linux.CLONE_NEWNS)
            os.close(own)


def _clone_inside(root: int, path: str) -> int:
    found = linux.openat2(root, path, os.O_PATH | os.O_DIRECTORY, resolve=_INSIDE)
    try:
        return linux.open_tree(found, "", linux.OPEN_TREE_CLONE | linux.AT_EMPTY_PATH)
    finally:
        os.close(found)
