"""A process that joins a running container: exec, and health checks.

The caller forks a helper, which joins the container's namespaces by the pidfd of its first process and there
clones the process itself, as a child of the caller (clone(2) CLONE_PARENT), so that the caller gets its exit
status. setns(2) moves only later children into a pid namespace, and must not move the caller. The helper has ended
when the process executes its program.
"""

from __future__ import annotations

import os
import struct

from layerstore import linux
from layerstore.errors import LaunchError
from layerstore.value import Value
from runner import become, capabilities, cgroups, console, identity, rootfs
from runner.channel import Channel
from runner.failure import Doing, from_report, to_report
from runner.home import process_start
from runner.launch import close_all_but
from runner.signals import restore_defaults
from runner.spec import ProcessSpec
from runner.stdio import Stdio, take_places

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.container import ContainerState

_NAMESPACES = (
    ("user", linux.CLONE_NEWUSER),
    ("mnt", linux.CLONE_NEWNS),
    ("pid", linux.CLONE_NEWPID),
    ("uts", linux.CLONE_NEWUTS),
    ("ipc", linux.CLONE_NEWIPC),
    ("net", linux.CLONE_NEWNET),
    ("cgroup", linux.CLONE_NEWCGROUP),
)


class _Joining(Value):
    """All that the helper and its child need to know."""

    spec: ProcessSpec
    stdio: Stdio
    target: int
    flags: int
    is_single: bool
    group: cgroups.Group | None


def joining(
    spec: ProcessSpec,
    args: Sequence[str],
    *,
    env: Sequence[str] = (),
    cwd: str | None = None,
    user: str | None = None,
    is_privileged: bool = False,
) -> ProcessSpec:
    """`spec`, a container's own, for another process in it."""
    fields = {
        **vars(spec),
        "args": tuple(args),
        "env": (*spec.env, *env),
        "has_init": False,
        "mounts": (),
        "runtime": "",
    }
    if cwd is not None:
        fields["cwd"] = cwd
    if user is not None:
        fields["user"] = user
    if is_privileged:
        fields["capabilities"] = frozenset(capabilities.NAMES)
    return ProcessSpec(**fields)


def start(state: ContainerState, spec: ProcessSpec, stdio: Stdio) -> tuple[int, int]:
    """Start `spec` in the container that is in `state`: process id and pidfd of a child of the caller.

    The caller has one thread, with 0, 1 and 2 open. The process outlives the caller, not the container.
    Raises `LaunchError` with docker's exit statuses.
    """
    first = state.pid
    with Doing("find the container's first process"):
        target = os.pidfd_open(first)
    if process_start(first) != state.pid_start:  # another process has the number by now
        os.close(target)
        raise LaunchError("cannot join the container: it has ended")
    channel = Channel()
    reader, writer = os.pipe()
    try:
        with Doing("look at the container's namespaces"):
            joined = _Joining(
                spec, stdio, target, _foreign_namespaces(first), _is_single(first), cgroups.of_process(first)
            )
        helper = os.fork()
        if helper == 0:
            _be_helper(joined, channel, writer)
        os.close(writer)
        writer = -1
        channel.keep_launcher_side()
        said = os.read(reader, 8)
        os.waitpid(helper, 0)  # it counts in the container's control group, and nobody inside is to see that
        channel.let_go()
        report = channel.read_report()
        pid = struct.unpack("q", said)[0] if said else 0
        if report or not pid:
            if pid:
                os.waitpid(pid, 0)
            raise from_report(report) if report else LaunchError("cannot join the container: it has ended")
        return pid, os.pidfd_open(pid)
    finally:
        channel.close()
        os.close(target)
        for fd in (reader, writer):
            if fd >= 0:
                os.close(fd)


def _foreign_namespaces(pid: int) -> int:
    """The CLONE_* flags of those namespaces of `pid` that are not ours: setns(2) refuses our own user namespace."""
    flags = 0
    for name, flag in _NAMESPACES:
        ours, theirs = (os.stat(f"/proc/{who}/ns/{name}") for who in ("self", str(pid)))
        if (ours.st_dev, ours.st_ino) != (theirs.st_dev, theirs.st_ino):
            flags |= flag
    return flags


def _is_single(pid: int) -> bool:
    """Whether root is the only user in the user namespace of `pid`."""
    with open(f"/proc/{pid}/uid_map", encoding="ascii") as stream:
        ranges = stream.read().split()
    return len(ranges) == 3 and ranges[2] == "1"


def _be_helper(joined: _Joining, channel: Channel, writer: int) -> None:
    """Never returns, whatever happens."""
    try:
        # Nobody inside may look into this process, whose program is the host's (CVE-2019-5736).
        linux.prctl(linux.PR_SET_DUMPABLE, 0)
        become.load(joined.spec)
        take_places(joined.stdio)
        kept = channel.keep_child_side()
        close_all_but(*joined.stdio.kept, *kept, joined.target, writer)
        group = None
        with Doing("enter the container's control group"):
            if joined.group is not None:
                joined.group.join()
                group = joined.group.open_to_clone_into()
        with Doing("join the container's namespaces"):
            linux.setns(joined.target, joined.flags)
        os.close(joined.target)
        with Doing("create a process in the container"):
            pid, _ = linux.clone3(linux.CLONE_PARENT, cgroup=group)
        if pid == 0:
            close_all_but(*joined.stdio.kept, *kept)
            _become(joined, channel)
        os.write(writer, struct.pack("q", pid))
    except BaseException as error:
        channel.report(to_report(error))
    finally:
        os._exit(1)


def _become(joined: _Joining, channel: Channel) -> None:
    """The process inside, up to its exec."""
    spec, stdio = joined.spec, joined.stdio
    restore_defaults()
    os.umask(0)
    os.setsid()
    become.forget_imports()
    if joined.flags & linux.CLONE_NEWUSER:
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    who = identity.resolve(spec.user, root)
    with Doing(f"change to the working directory {spec.cwd}"):
        cwd = linux.openat2(root, spec.cwd, os.O_PATH | os.O_DIRECTORY, resolve=linux.RESOLVE_NO_MAGICLINKS)
    rootfs.enter_directory(cwd, spec.cwd)
    if stdio.console is not None:
        pair = console.open_pair(root)
        console.hand_out(pair.master, stdio.console)
        pair.take(who.uid)
    os.close(root)
    become.become(spec, who, is_single=joined.is_single, ready=lambda: channel.wait())
