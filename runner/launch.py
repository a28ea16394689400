"""Starting a process in a container of its own, and returning as it exits.

The launcher clones the container's first process straight into its namespaces and waits. That process builds
the root filesystem around itself, gives up every privilege, and executes the program: `_become_container` is
the whole sequence. What fails on the way comes back through a pipe that the exec closes. Nothing outlives the
process: its mounts go with its mount namespace, and the kernel kills it with the launcher.
"""

from __future__ import annotations

import os
import signal
import sys

from layerstore import linux
from layerstore.errors import LaunchError, UsageError
from layerstore.value import Value
from runner import capabilities, command, etc_files, identity, namespaces, rootfs, seccomp
from runner.channel import Channel
from runner.failure import Doing, from_report, to_report
from runner.inside import make_directory
from runner.signals import Forwarding, restore_defaults

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from layerstore.mount import MountStack
    from runner.identity import Identity
    from runner.namespaces import IdMap
    from runner.spec import Mount, Network, ProcessSpec

NETWORKS = ("none", "host")
_UMASK = 0o022
_NO_NAMESPACES = "sysctl user.max_user_namespaces kernel.unprivileged_userns_clone"


class _Container(Value):
    """All that the first process needs to know to become the container."""

    stack: MountStack
    spec: ProcessSpec
    attach: Callable[[MountStack, str], None]
    network: Network
    mounts: tuple[Mount, ...]
    id_map: IdMap | None
    target: str
    place: str


def run(
    stack: MountStack,
    spec: ProcessSpec,
    *,
    network: Network,
    state_dir: str,
    attach: Callable[[MountStack, str], None],
) -> int:
    """Run `spec` on `stack` in the foreground; the exit status of the process, 128 + n after signal n.

    `attach` mounts the stack at a directory, in the container's mount namespace. `state_dir` is an absolute
    directory that the caller made, for this container alone, and removes afterwards. As root without a user
    namespace, else in one. To be called in the main thread of a process without others (clone(2)); signals
    of `runner.signals.FORWARDED` go to the process meanwhile. When the calling thread dies, so does the
    container.

    Raises `LaunchError` with the exit status that docker gives: 125 when the container could not be set up,
    126 when the command cannot be executed, 127 when there is none.
    """
    if network not in NETWORKS:
        raise UsageError(f"cannot join network {network!r}: it must be one of {', '.join(NETWORKS)}")
    _fill_standard_descriptors()
    id_map = None if os.geteuid() == 0 else namespaces.own_id_map()
    target, place = _make_places(state_dir)
    mounts = (*etc_files.write(spec, network, state_dir), *spec.mounts)
    container = _Container(stack, spec, attach, network, mounts, id_map, target, place)
    flags = namespaces.clone_flags(network, is_rootless=id_map is not None)
    channel = Channel()
    try:
        with Forwarding() as forwarding:
            with Doing("create the container's namespaces", hint=_NO_NAMESPACES if id_map else None):
                pid, pidfd = linux.clone3(flags)
            if pid == 0:
                _be_first_process(container, channel)
            channel.keep_launcher_side()
            try:
                return _attend(pid, pidfd, id_map, channel, forwarding)
            finally:
                os.close(pidfd)
    finally:
        channel.close()


def _fill_standard_descriptors() -> None:
    """Have 0, 1 and 2 open, so that no descriptor of ours takes one of their numbers."""
    fd = os.open(os.devnull, os.O_RDWR)
    while fd <= 2:
        os.set_inheritable(fd, True)
        fd = os.open(os.devnull, os.O_RDWR)
    os.close(fd)


def _make_places(state_dir: str) -> tuple[str, str]:
    """Two directories to mount at, seen only inside the container's mount namespace."""
    places = (f"{state_dir}/rootfs", f"{state_dir}/devices")
    with Doing(f"set up {state_dir}"):
        for path in places:
            os.makedirs(path, mode=0o711, exist_ok=True)
    return places


def _attend(pid: int, pidfd: int, id_map: IdMap | None, channel: Channel, forwarding: Forwarding) -> int:
    """See the first process through its start, then wait for its end."""
    try:
        if id_map is not None:
            namespaces.map_ids(pid, id_map)
        channel.let_go()
        report = channel.read_report()
    except BaseException:
        linux.pidfd_send_signal(pidfd, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise
    else:
        if report:
            os.waitpid(pid, 0)
            raise from_report(report)
        forwarding.start(pidfd)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        return code if code >= 0 else 128 - code


def _be_first_process(container: _Container, channel: Channel) -> None:
    """Never returns, whatever happens."""
    try:
        _become_container(container, channel)
    except BaseException as error:
        channel.report(to_report(error))
    finally:
        os._exit(1)


def _become_container(container: _Container, channel: Channel) -> None:
    """The launch, in order. Each step relies on those before it."""
    spec, id_map = container.spec, container.id_map

    # 1. Die with the launcher, and have nothing of it: no descriptor, signal handler, mask or terminal.
    linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
    _close_all_but(0, 1, 2, *channel.keep_child_side())
    restore_defaults()
    os.umask(0)
    os.setsid()

    # 2. Wait for the ids of the user namespace; from then on nobody may look into this process.
    if not channel.wait():
        os._exit(1)  # the launcher is gone, or has its own error to tell
    linux.prctl(linux.PR_SET_DUMPABLE, 0)

    # 3. No mount of ours shows outside, and none of outside's future ones here.
    with Doing("make the mounts private"):
        linux.mount(None, "/", None, linux.MS_REC | linux.MS_PRIVATE)

    # 4. The root filesystem, with everything on it.
    container.attach(container.stack, container.target)
    root = rootfs.open_root(container.target)
    with open("/proc/self/cgroup", encoding="utf-8", errors="surrogateescape") as groups:
        cgroups = groups.read()
    owns_network = container.network != "host"
    rootfs.build(root, container.place, id_map, owns_network=owns_network, cgroups=cgroups)
    rootfs.mount_all(root, container.mounts)
    with Doing(f"make the working directory {spec.cwd}"):
        cwd = make_directory(root, spec.cwd)
    who = identity.resolve(spec.user, root)
    if spec.is_read_only:
        rootfs.make_read_only(root)

    # 5. The other namespaces.
    with Doing(f"name the host {spec.hostname}"):
        linux.sethostname(spec.hostname)
    if owns_network:
        namespaces.raise_loopback()

    # 6. Enter. An import from here on would load code from the image.
    for search in (sys.path, sys.meta_path, sys.path_hooks):
        search.clear()
    rootfs.enter(root)
    os.close(root)
    rootfs.enter_directory(cwd, spec.cwd)

    # 7. Find the program as its user would, and check it while we may read everything.
    environment = spec.environment(home=who.home)
    _take_groups(who, id_map)
    with Doing(f"run as user {who.uid}"):
        os.seteuid(who.uid)
        program = command.find(spec.args[0], environment["PATH"])
        os.seteuid(0)
    command.refuse_launcher(program)

    # 8. Give up privileges. The filter needs CAP_SYS_ADMIN, since no_new_privs would break set-user-id programs.
    kept = capabilities.mask(spec.capabilities)
    with Doing("give up privileges"):
        seccomp.confine(spec.capabilities)
        capabilities.drop_bounding(kept)
        os.setresuid(who.uid, who.uid, who.uid)
        capabilities.keep(kept)

    # 9. A change of ids forgets the first of these; then see that the launcher did not die in between.
    linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
    if channel.is_launcher_alive():
        os.umask(_UMASK)
        command.execute(program, spec.args, environment)


def _close_all_but(*kept: int) -> None:
    """close_range(2) around `kept`: a descriptor of the host must not reach the container (CVE-2024-21626)."""
    first = 0
    for fd in sorted(kept):
        if first < fd:
            linux.close_range(first, fd - 1)
        first = fd + 1
    linux.close_range(first)


def _take_groups(who: Identity, id_map: IdMap | None) -> None:
    if id_map is not None and id_map.is_single:
        # Groups cannot be set in such a namespace, and no other id exists there.
        if (who.uid, who.gid) != (0, 0):
            raise LaunchError(
                f"cannot run as user {who.uid}: without subordinate ids, root is the only user inside",
                hint="usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $USER",
            )
        return
    with Doing(f"take the groups of user {who.uid}"):
        os.setgroups(who.groups)
        os.setresgid(who.gid, who.gid, who.gid)
