"""Running a container through another OCI runtime, ``--runtime crun`` or ``runc``, in place of our own launcher.

The runtime is our child as the container's first process otherwise is, in a mount namespace of its own where the
root filesystem is mounted. It has a bundle in the container's state directory. Limits are those of our own control
group, which the runtime and all that it starts are in, so the bundle says nothing of them; nor of capabilities
that we lack ourselves, for which runc would start nothing. It writes down the container's first process, by which
everything else goes: exec, cp, stats, health checks; where it ends without having done so, its log says why. A
terminal is one of the host's, on which the runtime carries the container's own to and fro.
"""

from __future__ import annotations

import os
import select

from layerstore import linux
from layerstore.errors import (
    EXIT_COMMAND_NOT_FOUND,
    EXIT_NOT_EXECUTABLE,
    EXIT_USAGE,
    LaunchError,
    MissingFeature,
)
from layerstore.linux import signals
from layerstore.value import Value
from runner import capabilities, cgroups, console, device_rules, window
from runner.bundle import writing
from runner.channel import Channel
from runner.failure import Doing, from_report, to_report
from runner.launch import Surroundings, close_all_but
from runner.limits import Limits
from runner.signals import restore_defaults
from runner.spec import ProcessSpec
from runner.stdio import take_places
from runner.watch import Watch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from layerstore.mount import MountStack

RUNTIMES = ("crun", "runc")
_DIRECTORIES = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
_ENVIRONMENT = {"PATH": ":".join(_DIRECTORIES)}
_UMASK = 0o022
_MAX_NUMBER = 32
_STATE = "oci"  # the runtime's own directory, in the container's
_FIRST = "first"  # where the runtime writes the first process's id
_LOG = "runtime.log"  # where it writes why it failed, one JSON object a line
_MAX_LOG = 64 << 10
_OF_THE_COMMAND = ('exec: "', "executable")  # what runc and crun say of it
_OF_ITS_ABSENCE = ("not found in $path", "no such file or directory")


class _Start(Value):
    """All that the child needs to become the runtime."""

    path: str
    stack: MountStack
    spec: ProcessSpec
    around: Surroundings
    group: cgroups.Group | None


def find(name: str) -> str:
    """Where the runtime is: never looked up in our own PATH. Raises `MissingFeature`."""
    for directory in _DIRECTORIES if name in RUNTIMES else ():
        if os.access(f"{directory}/{name}", os.X_OK):
            return f"{directory}/{name}"
    message = f"cannot run containers with {name[:80]!r}: it is not installed, or neither crun nor runc"
    raise MissingFeature(message, hint="apt-get install crun")


def start(
    stack: MountStack, spec: ProcessSpec, around: Surroundings, begun: Callable[[int], None]
) -> tuple[int, int]:
    """As `runner.launch.start`: process id and pidfd, here of the runtime, once the container's process runs.

    `begun` is called with the id of the container's own first process, which the runtime alone knows.

    Needs root. Neither runtime tells of a program of a format that the kernel refuses: that ends with 1.
    Raises `MissingFeature`, `LaunchError`.
    """
    if os.geteuid() != 0:
        raise MissingFeature(
            f"cannot run containers with {spec.runtime} without root", hint="sudo lstore run …"
        )
    path = find(spec.runtime)
    _remove_records(around.state_dir)
    group = cgroups.create(os.path.basename(around.state_dir), _limits(spec), around.state_dir)
    channel = Channel()
    try:
        with Doing("create a mount namespace"):
            pid, pidfd = linux.clone3(linux.CLONE_NEWNS)
        if pid == 0:
            _be_runtime(_Start(path, stack, spec, around, group), channel)
        channel.keep_launcher_side()
        channel.let_go()
        _check(channel.read_report(), pid, pidfd)
        first = _see_started(spec, around.state_dir, pid, pidfd)
        try:
            begun(first)
        except BaseException:
            linux.pidfd_send_signal(pidfd, signals.SIGKILL)
            os.waitpid(pid, 0)
            os.close(pidfd)
            raise
        return pid, pidfd
    except BaseException:
        cgroups.remove(around.state_dir)
        raise
    finally:
        channel.close()


def _first_process(state_dir: str, runtime: int, pidfd: int) -> int:
    """The id of the container's first process, waited for; of the `runtime` where that ended without starting one."""
    with Watch(state_dir, pidfd) as watch:
        while (pid := _first(state_dir)) is None and not select.select([pidfd], [], [], 0)[0]:
            watch.wait()
    return pid or _first(state_dir) or runtime


def _first(state_dir: str) -> int | None:
    try:
        with open(f"{state_dir}/{_FIRST}", encoding="ascii") as file:
            return int(file.read(_MAX_NUMBER) or 0) or None
    except FileNotFoundError:
        return None


def _remove_records(state_dir: str) -> None:
    """Those of the last run."""
    for name in (_FIRST, _LOG):
        try:
            os.unlink(f"{state_dir}/{name}")
        except FileNotFoundError:
            continue


def _check(report: bytes, pid: int, pidfd: int) -> None:
    if report:
        os.waitpid(pid, 0)
        os.close(pidfd)
        raise from_report(report)


def _see_started(spec: ProcessSpec, state_dir: str, pid: int, pidfd: int) -> int:
    """Wait for the container's first process: its id. Raises `LaunchError` where the runtime ends without one."""
    first = _first_process(state_dir, pid, pidfd)
    if first != pid:
        return first
    os.waitpid(pid, 0)
    os.close(pidfd)
    forget(spec.runtime, state_dir)
    raise failure(spec.runtime, _complaint(state_dir))


def _complaint(state_dir: str) -> str:
    """The last message in the runtime's log; "" without one."""
    import json

    try:
        with open(f"{state_dir}/{_LOG}", "rb") as stream:
            lines = stream.read(_MAX_LOG).splitlines()
        found = json.loads(lines[-1]) if lines else {}
    except (FileNotFoundError, ValueError):
        return ""
    return str(found.get("msg", "")) if isinstance(found, dict) else ""


def failure(name: str, message: str) -> LaunchError:
    """Why the runtime `name` started nothing, by its own `message`, with docker's exit status."""
    text = message.lower()
    status = EXIT_USAGE
    if any(words in text for words in _OF_THE_COMMAND):
        is_missing = any(words in text for words in _OF_ITS_ABSENCE)
        status = EXIT_COMMAND_NOT_FOUND if is_missing else EXIT_NOT_EXECUTABLE
    reason = message.rpartition("unable to start container process: ")[2] or "it does not say why"
    return LaunchError(f"{name} cannot start the container: {reason}", exit_status=status)


def _limits(spec: ProcessSpec) -> Limits:
    """What our own group enforces. runc confines devices in the group that it makes below, and needs them above."""
    if spec.runtime == "runc" or spec.confinement.is_privileged:
        return spec.limits.but({"device_rules": None})
    return spec.limits.but({"device_rules": device_rules.allowing(spec.confinement.devices)})


def _be_runtime(begun: _Start, channel: Channel) -> None:
    """Never returns, whatever happens."""
    try:
        _become_runtime(begun, channel)
    except BaseException as error:
        channel.report(to_report(error))
    finally:
        os._exit(1)


def _become_runtime(begun: _Start, channel: Channel) -> None:
    around, state = begun.around, begun.around.state_dir
    linux.prctl(linux.PR_SET_PDEATHSIG, signals.SIGKILL)
    take_places(around.stdio)
    close_all_but(*around.stdio.kept, *channel.keep_child_side())
    restore_defaults()
    os.umask(_UMASK)
    os.setsid()
    if not channel.wait():
        os._exit(1)
    has_terminal = around.stdio.console is not None
    if around.stdio.console is not None:
        host = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        pair = console.open_pair(host)
        os.close(host)
        console.hand_out(pair.master, around.stdio.console)
        window.resize(pair.slave, *around.stdio.size)
        pair.take(0)
    with Doing("make the mounts private"):
        linux.mount(None, "/", None, linux.MS_REC | linux.MS_SLAVE)
    target = f"{state}/rootfs"
    with Doing(f"set up {target}"):
        os.makedirs(target, mode=0o711, exist_ok=True)
    around.attach(begun.stack, target)
    with Doing("enter the container's control group"):
        if begun.group is not None:
            begun.group.enter()  # not before: it confines devices, and mounting an image may need some
    ours = {"limits": Limits(), "capabilities": capabilities.held(begun.spec.capabilities)}
    spec = ProcessSpec(**{**vars(begun.spec), **ours})
    writing.write(state, spec, around.network, has_terminal=has_terminal, size=around.stdio.size)
    command = _command(begun.path, begun.spec.runtime, state)
    if channel.is_launcher_alive():
        try:
            os.execve(begun.path, command, _ENVIRONMENT)  # noqa: S606 - a runtime of the system
        except OSError as error:
            raise LaunchError(
                f"cannot execute {begun.path}: {(error.strerror or '').lower()}",
                exit_status=EXIT_COMMAND_NOT_FOUND,
            ) from error


def _command(path: str, name: str, state: str) -> tuple[str, ...]:
    """The control group is ours already, so crun need not make one; runc makes one below, or beside where it must."""
    return (
        *_prefix(path, name, state),
        "run",
        "--pid-file",
        f"{state}/{_FIRST}",
        "--bundle",
        state,
        _identifier(state),
    )


def _prefix(path: str, name: str, state: str) -> tuple[str, ...]:
    manager = ("--cgroup-manager=disabled",) if name == "crun" else ()
    return (path, "--root", f"{state}/{_STATE}", "--log", f"{state}/{_LOG}", "--log-format", "json", *manager)


def _identifier(state: str) -> str:
    return f"lstore-{os.path.basename(state)[:12]}"


def clear_away(name: str, state: str) -> None:
    """As `forget`, where the runtime may have been killed before it kept anything: its control groups go, too.

    What is still on its way out ends first, since it might be at making more of them.
    """
    cgroups.remove(state)
    forget(name, state)
    cgroups.remove_called(_identifier(state))


def forget(name: str, state: str) -> None:
    """Have the runtime remove what it kept of the container of `state`, as a killed one leaves it. Idempotent."""
    if not os.path.isdir(f"{state}/{_STATE}"):
        return
    try:
        path = find(name)
    except MissingFeature:
        return  # it was uninstalled; its processes end with their control group
    command = (*_prefix(path, name, state), "delete", "--force", _identifier(state))
    actions = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1, 2)]
    os.waitpid(os.posix_spawn(path, command, _ENVIRONMENT, file_actions=actions), 0)
