"""Starting a process in a container of its own, and returning as it exits.

The launcher clones the container's first process straight into its namespaces and waits. That process builds
the root filesystem around itself, gives up every privilege, and executes the program: `_become_container` is
the whole sequence. What fails on the way comes back through a pipe that the exec closes. Nothing outlives the
process: its mounts go with its mount namespace, and the kernel kills it with the launcher.
"""

from __future__ import annotations

import os

from layerstore import linux
from layerstore.errors import UsageError
from layerstore.linux import signals
from layerstore.value import Value
from runner import become, cgroups, etc_files, identity, namespaces, remap, rootfs, sharing, sysctls
from runner.channel import Channel
from runner.confinement import CONTAINER, OWN
from runner.failure import Doing, from_report, to_report
from runner.inside import make_directory
from runner.signals import Forwarding, restore_defaults
from runner.stdio import Stdio, fill_standard_descriptors, take_places

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from layerstore.mount import MountStack
    from runner.console import Pair
    from runner.namespaces import IdMap
    from runner.spec import Mount, Network, ProcessSpec

NETWORKS = ("none", "host")
_NO_NAMESPACES = "sysctl user.max_user_namespaces kernel.unprivileged_userns_clone"


class Surroundings(Value):
    """What a container is started in: `state_dir` is an absolute directory made for it alone.

    `attach(stack, directory)` mounts, in the container's mount namespace; with `users=FD`, a user namespace, it maps
    the owners of files by that (asked for only where `Confinement.id_range` is set).
    """

    state_dir: str
    attach: Callable[..., None]
    network: Network = "none"
    stdio: Stdio = Stdio()


class _Container(Value):
    """All that the first process needs to know to become the container."""

    stack: MountStack
    spec: ProcessSpec
    around: Surroundings
    mounts: tuple[Mount, ...]
    id_map: IdMap | None
    target: str
    place: str
    group: cgroups.Group | None
    others: sharing.Others
    tree: int | None

    @property
    def enters_late(self) -> bool:
        """Whether the control group confines devices, of which mounting an image may need some (loop devices)."""
        return self.spec.limits.device_rules is not None

    @property
    def kept(self) -> tuple[int, ...]:
        """The descriptors that the first process needs from the launcher."""
        return self.others.kept if self.tree is None else (*self.others.kept, self.tree)


def run(stack: MountStack, spec: ProcessSpec, around: Surroundings) -> int:
    """Run `spec` on `stack` in the foreground; the exit status of the process, 128 + n after signal n.

    As `start`, and signals of `runner.signals.FORWARDED` go to the process meanwhile.
    """
    fill_standard_descriptors()
    with Forwarding() as forwarding:
        pid, pidfd = start(stack, spec, around)
        forwarding.start(pidfd)
        try:
            return exit_status(pid)
        finally:
            os.close(pidfd)
            cgroups.remove(around.state_dir)


def start(
    stack: MountStack,
    spec: ProcessSpec,
    around: Surroundings,
    begun: Callable[[int], None] = lambda _pid: None,
) -> tuple[int, int]:
    """Start `spec` on `stack`: the process id and the pidfd of the first process, a child of this one.

    `begun` is called with its id while it sets itself up; what it raises ends the process.

    As root without a user namespace, else in one. To be called in the main thread of a process without
    others (clone(2)), with 0, 1 and 2 open. When the calling thread dies, so does the container. The caller
    removes the control group (`cgroups.remove`) and the state directory once the process has ended.

    Raises `LaunchError` with the exit status that docker gives: 125 when the container could not be set up,
    126 when the command cannot be executed, 127 when there is none.
    """
    if spec.runtime:
        from runner import oci_runtime

        return oci_runtime.start(stack, spec, around, begun)
    if around.network not in NETWORKS and not around.network.startswith(CONTAINER):
        raise UsageError(f"cannot join network {around.network!r}: it must be one of {', '.join(NETWORKS)}")
    others = sharing.find(spec, around.network, os.path.dirname(around.state_dir))
    id_map = remap.id_map(spec.confinement) if os.geteuid() == 0 else namespaces.own_id_map()
    target, place = _make_places(around.state_dir)
    mounts = (*etc_files.write(spec, around.network, around.state_dir), *spec.mounts)
    tree = remap.mount(stack, id_map, around, target) if id_map and os.geteuid() == 0 else None
    group = cgroups.create(os.path.basename(around.state_dir), spec.limits, around.state_dir)
    container = _Container(stack, spec, around, mounts, id_map, target, place, group, others, tree)
    channel = Channel()
    try:
        pid, pidfd = _clone(container)
        if pid == 0:
            _be_first_process(container, channel)
        channel.keep_launcher_side()
        try:
            _see_through(pid, pidfd, id_map, channel, begun)
        except BaseException:
            os.close(pidfd)
            raise
        return pid, pidfd
    except BaseException:
        cgroups.remove(around.state_dir)
        raise
    finally:
        channel.close()
        others.close()
        if tree is not None:
            os.close(tree)


def _clone(container: _Container) -> tuple[int, int]:
    """What `linux.clone3` returns, in both processes."""
    is_rootless = container.id_map is not None
    shared = container.spec.confinement.sharing
    flags = namespaces.clone_flags(container.around.network, shared, is_rootless=is_rootless)
    own_pids = sharing.enter_pid(container.others)
    pid = -1
    is_early = container.group is not None and not container.enters_late
    group = container.group.open_to_clone_into() if container.group and is_early else None
    try:
        with Doing("create the container's namespaces", hint=_NO_NAMESPACES if is_rootless else None):
            pid, pidfd = linux.clone3(flags, cgroup=group)
            return pid, pidfd
    finally:
        if group is not None:
            os.close(group)
        if own_pids is not None and pid != 0:
            sharing.leave_pid(own_pids)


def exit_status(pid: int) -> int:
    """Wait for the child `pid`; its exit status, 128 + n after signal n."""
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return code if code >= 0 else 128 - code


def _make_places(state_dir: str) -> tuple[str, str]:
    """Two directories to mount at, seen only inside the container's mount namespace."""
    places = (f"{state_dir}/rootfs", f"{state_dir}/devices")
    with Doing(f"set up {state_dir}"):
        for path in places:
            os.makedirs(path, mode=0o711, exist_ok=True)
    return places


def _see_through(
    pid: int, pidfd: int, id_map: IdMap | None, channel: Channel, begun: Callable[[int], None]
) -> None:
    """See the first process through its start, up to its exec."""
    try:
        if id_map is not None:
            namespaces.map_ids(pid, id_map)
        channel.let_go()
        begun(pid)
        report = channel.read_report()
    except BaseException:
        linux.pidfd_send_signal(pidfd, signals.SIGKILL)
        os.waitpid(pid, 0)
        raise
    if report:
        os.waitpid(pid, 0)
        raise from_report(report)


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
    spec, id_map, stdio = container.spec, container.id_map, container.around.stdio

    # 1. Die with the launcher, and have nothing of it: no descriptor, signal handler, mask or terminal.
    linux.prctl(linux.PR_SET_PDEATHSIG, signals.SIGKILL)
    take_places(stdio)
    close_all_but(*stdio.kept, *channel.keep_child_side(), *container.kept)
    restore_defaults()
    os.umask(0)
    os.setsid()

    # 2. Wait for the ids of the user namespace; from then on nobody may look into this process.
    if not channel.wait():
        os._exit(1)  # the launcher is gone, or has its own error to tell
    linux.prctl(linux.PR_SET_DUMPABLE, 0)
    if not container.enters_late:
        _enter_group(container)

    # 3. No mount of ours shows outside, and none of outside's future ones here. What is shared is joined first.
    sources = rootfs.open_sources(container.mounts)
    shm = sharing.open_shm(spec.confinement.sharing.ipc, container.others)
    sharing.enter(container.others)
    with Doing("make the mounts private"):
        linux.mount(None, "/", None, linux.MS_REC | linux.MS_PRIVATE)

    # 4. The root filesystem, with everything on it.
    root, place = _attach(container)
    with open("/proc/self/cgroup", encoding="utf-8", errors="surrogateescape") as groups:
        hierarchies = groups.read()
    owns_network = container.around.network == "none"
    rootfs.build(root, place, id_map, spec.confinement, owns_network=owns_network, cgroups=hierarchies)
    if shm is not None:
        rootfs.attach_shm(root, shm)
    terminal = _open_terminal(stdio, root)
    rootfs.mount_all(root, container.mounts, sources)
    with Doing(f"make the working directory {spec.cwd}"):
        cwd = make_directory(root, spec.cwd)
    who = identity.with_groups(identity.resolve(spec.user, root), spec.groups, root)
    if spec.is_read_only:
        rootfs.make_read_only(root)

    # 5. The other namespaces.
    if spec.confinement.sharing.uts == OWN:
        with Doing(f"name the host {spec.hostname}"):
            linux.sethostname(spec.hostname)
    sysctls.write(spec.confinement.sysctls)
    if owns_network:
        namespaces.raise_loopback()

    # 6. Enter. No import from here on.
    become.load(spec)
    become.forget_imports()
    rootfs.enter(root)
    os.close(root)
    rootfs.enter_directory(cwd, spec.cwd)
    if terminal is not None:
        terminal.take(who.uid)

    # 7. The program; a change of ids forgets the death signal, so see that the launcher did not die in between.
    def is_wanted() -> bool:
        linux.prctl(linux.PR_SET_PDEATHSIG, signals.SIGKILL)
        return channel.is_launcher_alive()

    become.become(spec, who, is_single=id_map is not None and id_map.is_single, ready=is_wanted)


def _enter_group(container: _Container) -> None:
    with Doing("enter the container's control group"):
        if container.group is not None:
            (container.group.enter if container.enters_late else container.group.join)()
        if container.spec.confinement.sharing.cgroup == OWN:
            linux.unshare(linux.CLONE_NEWCGROUP)  # its root is the group that the caller is in


def _attach(container: _Container) -> tuple[int, str]:
    """The mounted root filesystem, and where to build. Where ids are mapped, they are root's own from here on.

    The control group is entered, too, if it was not yet.
    """
    around, has_devices = container.around, container.spec.confinement.is_privileged
    if container.tree is None:
        around.attach(container.stack, container.target)
        if container.enters_late:
            _enter_group(container)
        return rootfs.open_root(container.target, has_devices=has_devices), container.place
    with Doing("attach the root filesystem"):
        linux.move_mount(container.tree, "", linux.AT_FDCWD, container.target, linux.MOVE_MOUNT_F_EMPTY_PATH)
        os.close(container.tree)
        os.chdir(around.state_dir)  # the way there may be the host's root's alone
    root = rootfs.open_root(container.target, has_devices=has_devices)
    if container.enters_late:
        _enter_group(container)
    remap.become_root_inside()
    return root, os.path.basename(container.place)


def _open_terminal(stdio: Stdio, root: int) -> Pair | None:
    """The container's terminal, where it is to have one, its master handed out."""
    if stdio.console is None:
        return None
    from runner import console

    pair = console.open_pair(root)
    console.show_as_console(root, pair.slave)
    console.hand_out(pair.master, stdio.console)
    return pair


def close_all_but(*kept: int) -> None:
    """close_range(2) around `kept`: a descriptor of the host must not reach the container (CVE-2024-21626)."""
    first = 0
    for fd in sorted(kept):
        if first < fd:
            linux.close_range(first, fd - 1)
        first = fd + 1
    linux.close_range(first)
