"""Which control groups this host has, and where in them we are: /proc/self/mountinfo and /proc/self/cgroup.

A host that mounts any controller of version 1 is one of version 1 (systemd's "hybrid" too): a controller is
in one hierarchy only, and those that matter are there.
"""

from __future__ import annotations

import os

from layerstore.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal


class Host(Value):
    """`version` 1, 2 or 0 for none; `own` holds (controller, directory of the group we are in) of each controller.

    With version 2 every directory is the same one, and an empty tuple means no controller reaches us there.
    `unified` is that directory.
    """

    version: Literal[0, 1, 2]
    own: tuple[tuple[str, str], ...] = ()
    unified: str = ""

    def directory(self, controller: str) -> str | None:
        """Where our group of `controller` is, None where this host has no such controller."""
        return next((directory for name, directory in self.own if name == controller), None)


def this_host(process: str = "self") -> Host:
    """The host as the calling process sees it; `process`, an id, for where another one is in it."""
    host = parse(_read("/proc/self/mountinfo"), _read(f"/proc/{process}/cgroup"))
    return within(host.unified) if host.version == 2 else host


def within(directory: str) -> Host:
    """A host of version 2 as it is in the group `directory`."""
    controllers = _read(f"{directory}/cgroup.controllers").split()
    return Host(2, tuple((name, directory) for name in controllers), directory)


def parse(mountinfo: str, cgroup: str) -> Host:
    """What the two files say. With version 2, which controllers there are is not in them. Pure."""
    points = list(_cgroup_mounts(mountinfo))
    own: list[tuple[str, str]] = []
    unified = ""
    for line in cgroup.splitlines():
        number, controllers, path = line.split(":", 2)
        if controllers.startswith("name="):
            continue
        wanted = frozenset(controllers.split(",")) - {""}
        for has, root, point in points:
            directory = _below(point, root, path)
            if directory is None or has != wanted:
                continue
            if number == "0":
                unified = unified or directory
            else:
                own += [(name, directory) for name in sorted(wanted) if name not in dict(own)]
    if own:
        return Host(1, tuple(own), unified)
    return Host(2, (), unified) if unified else Host(0)


def hierarchies() -> frozenset[str]:
    """Where hierarchies of version 1 are mounted, those without a controller (systemd's) too."""
    found = set()
    for line in _read("/proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - cgroup ")
        if after:
            found.add(_unescaped(before.split()[4]))
    return frozenset(found)


def tops() -> dict[str, str]:
    """Where the hierarchy of each controller is mounted; "" stands for version 2's."""
    found: dict[str, str] = {}
    for controllers, _, point in _cgroup_mounts(_read("/proc/self/mountinfo")):
        for controller in controllers or ("",):
            found.setdefault(controller, point)
    return found


def _cgroup_mounts(mountinfo: str) -> list[tuple[frozenset[str], str, str]]:
    """(controllers, root of the mount, mount point) of each hierarchy; no controllers mean version 2."""
    found = []
    for line in mountinfo.splitlines():
        before, separator, after = line.partition(" - cgroup")
        if not separator:
            continue
        fields, kind = before.split(), after.split()
        root, point = (_unescaped(fields[position]) for position in (3, 4))
        if after.startswith("2 "):
            found.append((frozenset[str](), root, point))
        elif "name=" not in after:
            options = kind[-1].split(",")
            found.append((frozenset(options) - {"rw", "ro", "xattr", "none", "clone_children"}, root, point))
    return found


def _unescaped(text: str) -> str:
    """proc(5): octal for space, tab, newline and backslash."""
    for code in ("040", "011", "012", "134"):
        text = text.replace(f"\\{code}", chr(int(code, 8)))
    return text


def _below(point: str, root: str, path: str) -> str | None:
    """The directory of group `path` where `root` is what is mounted at `point`."""
    if root == "/":
        return f"{point}{path}".rstrip("/")
    if path == root or path.startswith(f"{root}/"):
        return f"{point}{path.removeprefix(root)}".rstrip("/")
    return None


def _read(path: str) -> str:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    with open(fd, encoding="utf-8", errors="surrogateescape") as file:
        return file.read()
