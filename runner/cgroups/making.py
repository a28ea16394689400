"""Making a container's control group, and finding one that was made.

What will be made is written down in the container's state directory first, so that whoever cleans up after a
killed launcher finds it, from whatever group they run in.
"""

from __future__ import annotations

import errno
import os

from layerstore.disk.publish import remove_file
from layerstore.errors import LstoreError, MissingFeature
from runner.cgroups import version1, version2
from runner.cgroups.group import Group, read, write
from runner.cgroups.host import hierarchies, this_host, within
from runner.failure import Doing
from runner.limits import Limits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from runner.cgroups.host import Host

RECORD = "cgroup"
# Names the directory itself among the controllers of version 2.
UNIFIED = "cgroup"
_MAX_RECORD = 1 << 16
_NAME_LENGTH = 12
_NOTHING = Limits()
_NOT_OURS = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_DELEGATE = "systemd-run --scope --property=Delegate=yes lstore …"


def create(identifier: str, limits: Limits, state_dir: str) -> Group | None:
    """A new group, named after container `identifier`, with its limits set and nothing in it yet.

    None where this host gives us no group and no limit is asked for. Raises `MissingFeature` for a limit that
    nothing here enforces, `LaunchError` for one that the kernel refuses; then nothing is left.
    """
    host = this_host()
    name = f"lstore-{identifier[:_NAME_LENGTH]}-{os.urandom(4).hex()}"
    if host.version == 2 and not limits.parent.startswith("/"):
        host = within(_base(host, name, limits))
    if limits.parent:
        host = _in_parent(host, limits)
    group = _version1(host, name, limits) if host.version == 1 else _version2(host, name)
    _record(group, state_dir)
    try:
        if _make(group):
            group = _complete(group, host, limits)
            group.change(limits)
            return group
    except BaseException:
        group.remove()
        raise
    group.remove()
    if limits.parent:
        raise MissingFeature(f"cannot make a control group in {limits.parent}: we may not", hint=_DELEGATE)
    if limits != _NOTHING:
        raise MissingFeature("cannot limit a container: we may make no control group here", hint=_DELEGATE)
    return None


def _in_parent(host: Host, limits: Limits) -> Host:
    """`host` as it is in the group that `limits` name, which is made where it is missing."""
    from runner.cgroups import parents  # few containers have one

    parent = parents.Parent.parse(limits.parent)
    if host.version == 1:
        return parents.enclose1(host, parent, _controllers1(limits), _fill_cpuset)
    if host.version == 2:
        needed = {each.controller for each in version2.plan(limits)}
        return parents.enclose2(host, parent, lambda above: _enable(above, needed))
    return host


def _base(host: Host, name: str, limits: Limits) -> str:
    from runner.cgroups import delegation

    try:
        return delegation.base(host, name)
    except LstoreError:
        if limits != _NOTHING:
            raise
        return host.unified  # whoever asks for no limit can do without


def load(state_dir: str) -> Group | None:
    """The group that `create` made or was making for the container of `state_dir`; None without one."""
    try:
        fd = os.open(f"{state_dir}/{RECORD}", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with open(fd, encoding="utf-8", errors="surrogateescape") as file:
        version, *lines = file.read(_MAX_RECORD).splitlines() or ["0"]
    entries = [line.partition(" ") for line in lines]
    if not entries:
        return None
    directories = tuple((controller, path) for controller, _, path in entries)
    return Group(1, directories) if version == "1" else _reached(directories[0][1])


def of_process(pid: int) -> Group | None:
    """The group that process `pid` is in, where it is another than ours: to `join` it. Raises ``OSError``."""
    theirs, ours = this_host(str(pid)), this_host()
    if theirs.version == 2:
        return Group(2, ((UNIFIED, theirs.unified),)) if theirs.unified != ours.unified else None
    others = tuple(each for each in theirs.own if each not in ours.own)
    return Group(1, others) if others else None


def remove(state_dir: str) -> None:
    """End what still runs in the group of `state_dir`, and remove it. Idempotent. Raises `LaunchError`."""
    group = load(state_dir)
    if group is not None:
        group.kill()
        group.remove()
        remove_file(f"{state_dir}/{RECORD}")


def remove_called(name: str) -> None:
    """As `remove`, for every group of version 1 that somebody else called `name`, which nobody wrote down."""
    for point in sorted(hierarchies()):
        for place, below, _ in os.walk(point):
            if name in below:
                group = Group(1, ((name, f"{place}/{name}"),))
                group.kill()
                group.remove()


def _record(group: Group, state_dir: str) -> None:
    text = "".join(f"{controller} {directory}\n" for controller, directory in group.directories)
    with Doing("write down the container's control group"):
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(f"{state_dir}/{RECORD}", flags, 0o600)
        with open(fd, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(f"{group.version}\n{text}")


def _version1(host: Host, name: str, limits: Limits) -> Group:
    wanted = _controllers1(limits)
    chosen = [(controller, own) for controller, own in host.own if controller in wanted]
    return Group(1, tuple((controller, f"{own}/{name}") for controller, own in chosen))


def _controllers1(limits: Limits) -> set[str]:
    return {each.controller for each in version1.plan(limits)}.union(version1.USUAL)


def _version2(host: Host, name: str) -> Group:
    """Which controllers reach the group is known only when it is there."""
    return Group(2, ((UNIFIED, f"{host.unified}/{name}"),) if host.unified else ())


def _make(group: Group) -> bool:
    """Make the directories; False where there are none to be made, or not by us."""
    try:
        for place in group.places:
            os.mkdir(place, 0o755)
    except OSError as error:
        if error.errno in _NOT_OURS:
            return False
        with Doing("make the container's control group"):
            raise
    return bool(group.places)


def _complete(group: Group, host: Host, limits: Limits) -> Group:
    """`group` when its controllers work."""
    if group.version == 1:
        place, above = group.directory("cpuset"), host.directory("cpuset")
        if place is not None and above is not None:
            _fill_cpuset(place, above)
        return group
    place = group.places[0]
    needed = {each.controller for each in version2.plan(limits)}
    _enable(host, needed)
    return _reached(place)


def _reached(place: str) -> Group:
    """The group of version 2 that `place` is, with the controllers that reach it; only the kernel knows which."""
    reached = read(place, "cgroup.controllers").split()
    return Group(2, ((UNIFIED, place), *((controller, place) for controller in reached)))


def _fill_cpuset(place: str, above: str, files: Iterable[str] = version1.CPUSET) -> None:
    """cpusets(7): a new group has no processor and no memory node, and so takes no process and has nothing to give."""
    for file in files:
        with Doing("set up the container's processors"):
            write(f"{place}/{file}", read(above, file))


def _enable(host: Host, needed: set[str]) -> None:
    """Hand the usual controllers and the `needed` ones on to the groups below ours. Raises `MissingFeature`."""
    handed_on = read(host.unified, "cgroup.subtree_control").split()
    for controller, own in host.own:
        if controller in handed_on or controller not in needed.union(version2.USUAL):
            continue
        try:
            write(f"{own}/cgroup.subtree_control", f"+{controller}")
        except OSError as error:
            if controller in needed:
                raise MissingFeature(
                    f"cannot use the controller {controller}: {own} does not hand it on"
                    f" ({(error.strerror or '').lower()})",
                    hint=_DELEGATE,
                ) from error
