"""`top`: the processes of a container, as the host's ps(1) tells of them."""

from __future__ import annotations

import os
import shutil
import subprocess

from layerstore.errors import Conflict, LstoreError, MissingFeature, UsageError
from layerstore.value import Value
from lstore.engine.containers.look import Container, look
from runner import cgroups
from runner.confinement import OWN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from lstore.engine.engine import Engine

_USUAL = ("-ef",)
_PATIENCE = 30


class ProcessTable(Value):
    """Column titles, and a row for each process."""

    titles: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def top(engine: Engine, text: str, options: Sequence[str] = ()) -> ProcessTable:
    """The container's processes by ``ps OPTIONS``, which must show the column PID.

    Raises `Conflict` where the container does not run, `MissingFeature` without ps(1), `UsageError`.
    """
    container = look(engine, text)
    if not container.state.pid:
        raise Conflict(f"container {container.config.name} is not running", hint="lstore ps --all")
    program = shutil.which("ps", path="/usr/bin:/bin:/usr/local/bin")
    if program is None:
        raise MissingFeature("cannot list processes: the host has no ps", hint="apt-get install procps")
    done = subprocess.run(
        [program, *(options or _USUAL)],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_PATIENCE,
        check=False,
    )
    if done.returncode:
        raise LstoreError(f"cannot list processes: {done.stderr.strip() or 'ps failed'}")
    first, *lines = done.stdout.splitlines() or [""]
    titles = tuple(first.split())
    if "PID" not in titles:
        raise UsageError(
            "cannot tell which processes are the container's: ps shows no PID", hint="lstore top NAME -ef"
        )
    position = titles.index("PID")
    rows = (tuple(line.split(None, len(titles) - 1)) for line in lines)
    ours = _processes_of(container)
    return ProcessTable(titles, tuple(row for row in rows if len(row) > position and row[position] in ours))


def _processes_of(container: Container) -> set[str]:
    """The process ids, as text, of the container, without a runtime that looks after it."""
    first = container.state.pid
    if container.config.spec.confinement.sharing.pid == OWN:
        return _processes_like(first)
    group = cgroups.load(container.home.path)
    if group is None:
        raise MissingFeature(
            f"cannot tell which processes {container.config.name} has: it shares others', and has no control group"
        )
    runtime = {_parent(first)} if container.config.spec.runtime else set()
    return {str(pid) for pid in group.processes()} - runtime


def _parent(pid: int) -> str:
    """The parent of process `pid`: proc(5) stat, field 4; "" without one."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stream:
            text = stream.read()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return text[text.rindex(b")") + 2 :].split()[1].decode()


def _processes_like(first: int) -> set[str]:
    """The process ids, as text, of all in the pid namespace of the process `first`."""
    namespace = _namespace(str(first))
    return {
        name for name in os.listdir("/proc") if name.isdigit() and namespace and _namespace(name) == namespace
    }


def _namespace(pid: str) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")
    except OSError:  # it ended, or is somebody else's
        return ""
