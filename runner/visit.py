"""Looking into a container's root filesystem from outside: for cp, export, diff and commit.

The work is done in a child process, which is the only one that joins a namespace of the container or mounts
its root. From then on the child imports nothing: code and libraries would come from the image
(CVE-2019-14271). Paths are the work's own business: by the descriptor it gets, with RESOLVE_IN_ROOT.
"""

from __future__ import annotations

import os

from layerstore import linux
from layerstore.errors import InvalidArchive, LaunchError, LstoreError
from runner.become import forget_imports
from runner.child import call_in_child, nothing
from runner.failure import Doing
from runner.home import process_start

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from layerstore.mount import MountStack
    from runner.container import ContainerState

    Work = Callable[[int], None]
    Meanwhile = Callable[[], None]


def visit_running(state: ContainerState, work: Work, meanwhile: Meanwhile = nothing) -> None:
    """Call `work` with the root of the container in `state`, with all that is mounted on it, in a child.

    What `work` changes in memory is lost; `meanwhile` is called here, for the other end of a pipe. Raises
    `LstoreError`: what `work` raised, or why there is no way in; and what `meanwhile` raises.
    """
    with Doing("find the container's first process"):
        target = os.pidfd_open(state.pid)
    try:
        if process_start(state.pid) != state.pid_start:
            raise LaunchError("cannot look into the container: it has ended")
        ours, theirs = (os.stat(f"/proc/{who}/ns/user").st_ino for who in ("self", str(state.pid)))
        flags = linux.CLONE_NEWNS | (linux.CLONE_NEWUSER if ours != theirs else 0)

        def join() -> int:
            with Doing("join the container's mounts"):
                linux.setns(target, flags)
            if flags & linux.CLONE_NEWUSER:
                os.setresgid(0, 0, 0)
                os.setresuid(0, 0, 0)
            with Doing("open the container's root"):
                return os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

        _in_child(join, work, meanwhile, 0)
    finally:
        os.close(target)


def visit_stack(
    stack: MountStack,
    attach: Callable[[MountStack, str], None],
    place: str,
    work: Work,
    meanwhile: Meanwhile = nothing,
) -> None:
    """Call `work` with the root filesystem that `stack` is, in a child that mounts it at `place`.

    The caller sees to it that nobody else writes to it meanwhile, if it can be written. Raises as `visit_running`.
    """

    def mount() -> int:
        with Doing("make the mounts private"):
            linux.mount(None, "/", None, linux.MS_REC | linux.MS_PRIVATE)
        attach(stack, place)
        return os.open(place, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    os.makedirs(place, mode=0o711, exist_ok=True)
    _in_child(mount, work, meanwhile, linux.CLONE_NEWNS | (0 if os.geteuid() == 0 else linux.CLONE_NEWUSER))


def _in_child(enter: Callable[[], int], work: Work, meanwhile: Meanwhile, flags: int) -> None:
    failure: Exception | None = None

    def visit() -> None:
        root = enter()
        forget_imports()
        os.umask(0)
        work(root)

    def tend() -> None:
        nonlocal failure
        failure = _outcome(meanwhile)

    told = call_in_child(visit, flags, "create a process to look into the container", tend)
    # Of both ends of a pipe, the one that was left alone says less: its archive ended, or nobody read it.
    if told is not None and (not isinstance(failure, LstoreError) or isinstance(failure, InvalidArchive)):
        raise LstoreError(told.message, hint=told.hint) from failure
    if failure is not None:
        raise failure


def _outcome(meanwhile: Meanwhile) -> Exception | None:
    """What it raised, if anything."""
    try:
        meanwhile()
    except Exception as error:
        return error
    return None
