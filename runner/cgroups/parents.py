"""The group that a container's own one is made in, where the user names one: docker's ``--cgroup-parent``.

As with docker's driver "cgroupfs", an absolute name counts from the top of each hierarchy, another one from the group
that we are in, and what is missing of it is made. The container's group goes with the container; what encloses it is
the user's, whoever made it, and stays.
"""

from __future__ import annotations

import errno
import os

from layerstore.errors import MissingFeature
from layerstore.value import Value
from runner.cgroups import delegation, systemd
from runner.cgroups.group import read
from runner.cgroups.host import Host, tops, within
from runner.cgroups.version1 import CPUSET
from runner.failure import Doing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_NOT_OURS = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
HINT = "systemd-run --scope --property=Delegate=yes lstore …"


class Parent(Value):
    """A parent that was asked for: `steps` below the top of each hierarchy, or below our own group."""

    steps: tuple[str, ...]
    is_absolute: bool

    @classmethod
    def parse(cls, text: str) -> Parent:
        """`text`, which `runner.limits` has checked."""
        return cls(tuple(step for step in text.split("/") if step), text.startswith("/"))


def enclose1(
    host: Host, parent: Parent, controllers: set[str], fill_cpuset: Callable[[str, str, list[str]], None]
) -> Host:
    """`host` of version 1 as it is in `parent`, made for the `controllers`; `fill_cpuset` a group from the one above.

    Raises `MissingFeature`, `LaunchError`.
    """
    starts = tops() if parent.is_absolute else dict(host.own)
    own: list[tuple[str, str]] = []
    for controller, _ in host.own:
        if controller not in controllers:
            continue
        place = starts[controller]
        for step in parent.steps:
            above, place = place, f"{place}/{step}"
            _make(place)
            if controller == "cpuset":
                # Others may have made it, and not filled it yet.
                fill_cpuset(place, above, [file for file in CPUSET if not read(place, file).strip()])
        own.append((controller, place))
    return Host(1, tuple(own), host.unified)


def enclose2(host: Host, parent: Parent, hand_on: Callable[[Host], None]) -> Host:
    """As `enclose1` with version 2; `hand_on` has a group hand its controllers on."""
    top = tops().get("", host.unified)
    inside = within(top) if parent.is_absolute else host
    if parent.is_absolute:
        _refuse_systemd_s(top, parent)
    for step in parent.steps:
        place = f"{inside.unified}/{step}"
        _make(place)
        hand_on(inside)
        inside = within(place)
    return inside


def _refuse_systemd_s(top: str, parent: Parent) -> None:
    """Its "single-writer rule": where it rules the tree, it must have left some part of the way to us."""
    place = top
    ways = [place := f"{place}/{step}" for step in parent.steps]
    if os.path.isdir(systemd.RUNNING) and not any(map(delegation.is_delegated, ways)):
        raise MissingFeature(
            f"cannot make a control group in {place}: systemd has not left it to us", hint=HINT
        )


def _make(place: str) -> None:
    try:
        os.mkdir(place, 0o755)
    except FileExistsError:
        return
    except OSError as error:
        if error.errno in _NOT_OURS:
            reason = (error.strerror or "").lower()
            raise MissingFeature(f"cannot make the control group {place}: {reason}", hint=HINT) from error
        with Doing(f"make the control group {place}"):
            raise
