"""One container's control group: joined, changed, frozen, emptied and removed.

`runner.cgroups.making` makes one and finds those that were made.
"""

from __future__ import annotations

import errno
import os
import time

from layerstore.errors import LaunchError, MissingFeature
from layerstore.linux import signals
from layerstore.value import Value
from runner.cgroups import version1, version2
from runner.failure import Doing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from runner.cgroups.write import Write
    from runner.limits import Limits

HINT = "lstore info"
# How long the kernel may take over a group, in tries and seconds between them.
_TRIES = 1000
_PAUSE = 0.002


class Group(Value):
    """`directories` holds (controller, directory) of each controller that reaches the group."""

    version: Literal[1, 2]
    directories: tuple[tuple[str, str], ...]

    def directory(self, controller: str) -> str | None:
        """The group's directory of `controller`, None where it does not reach the group."""
        return next((directory for name, directory in self.directories if name == controller), None)

    @property
    def places(self) -> tuple[str, ...]:
        """All directories of the group, each once."""
        return tuple(dict.fromkeys(directory for _, directory in self.directories))

    def open_to_clone_into(self) -> int | None:
        """A descriptor for clone3(2) CLONE_INTO_CGROUP; None with version 1, where the child has to `join`."""
        if self.version == 1:
            return None
        return os.open(self.places[0], os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def join(self) -> None:
        """With version 1, move the calling thread, its process's only one, into the group.

        A write of 0 to `tasks` takes microseconds; one of a process id to `cgroup.procs` takes milliseconds,
        since the kernel stops all forks meanwhile.
        """
        if self.version == 1:
            for directory in self.places:
                write(f"{directory}/tasks", "0")

    def enter(self) -> None:
        """As `join`, for a process that was not cloned into the group: with either version."""
        if self.version == 1:
            self.join()
        else:
            write(f"{self.places[0]}/cgroup.procs", "0")

    def change(self, limits: Limits) -> None:
        """Set what `limits` sets. Raises `MissingFeature`, `LaunchError` where the kernel refuses a value."""
        if self.version == 2:
            writes = version2.plan(limits)
        else:
            writes = version1.plan(limits, memory_swap_now=self._swap_limit())
        for each in writes:
            self._carry_out(each)
        if self.version == 2 and limits.device_rules is not None:
            from runner.cgroups import device_filter

            device_filter.attach(self.places[0], limits.device_rules)

    def _swap_limit(self) -> int | None:
        text = read(self.directory("memory"), "memory.memsw.limit_in_bytes")
        return int(text) if text else None

    def _carry_out(self, wanted: Write) -> None:
        directory = self.directory(wanted.controller)
        for file, text in wanted.choices if directory else ():
            if os.path.exists(f"{directory}/{file}"):
                with Doing(f"{wanted.purpose} ({file} = {text})"):
                    write(f"{directory}/{file}", text)
                return
        if wanted.is_asked:
            what = wanted.choices[0][0] if directory else f"controller {wanted.controller}"
            raise MissingFeature(
                f"cannot {wanted.purpose}: the control groups here have no {what}", hint=HINT
            )

    def processes(self) -> tuple[int, ...]:
        """The ids of all processes in the group and below, as the caller sees them."""
        found: list[int] = []
        for directory in _tree(self._main):
            found += [int(line) for line in read(directory, "cgroup.procs").split()]
        return tuple(found)

    @property
    def _main(self) -> str:
        """The directory that all processes are found by: with version 1 the freezer's, where there is one."""
        return self.directory("freezer") or self.places[0]

    def freeze(self) -> None:
        """Stop all processes; returns when they stand still. Idempotent. Raises `MissingFeature`, `LaunchError`."""
        self._set_frozen(is_frozen=True)

    def thaw(self) -> None:
        """Let them go on. Idempotent. Raises as `freeze`."""
        self._set_frozen(is_frozen=False)

    def _set_frozen(self, *, is_frozen: bool) -> None:
        self._request_freeze(is_frozen=is_frozen)
        for _ in range(_TRIES):
            if self.is_frozen == is_frozen:
                return
            time.sleep(_PAUSE)
        raise LaunchError(
            f"cannot {'freeze' if is_frozen else 'thaw'} the container: its processes do not follow"
        )

    def _request_freeze(self, *, is_frozen: bool) -> None:
        if self.version == 2:
            path, text = f"{self._main}/cgroup.freeze", str(int(is_frozen))
        else:
            path, text = f"{self.directory('freezer')}/freezer.state", "FROZEN" if is_frozen else "THAWED"
        if not os.path.exists(path):
            file = os.path.basename(path)
            raise MissingFeature(
                f"cannot freeze a container: the control groups here have no {file}", hint=HINT
            )
        with Doing("freeze the container" if is_frozen else "thaw the container"):
            write(path, text)

    @property
    def is_frozen(self) -> bool:
        """Whether its processes stand still."""
        if self.version == 2:
            return "frozen 1" in read(self._main, "cgroup.events").splitlines()
        return read(self.directory("freezer"), "freezer.state").strip() == "FROZEN"

    def kill(self) -> None:
        """SIGKILL to everything in the group, until it is empty. Raises `LaunchError` for what does not die."""
        with Doing("kill the container's processes"):
            for _ in range(_TRIES):
                if not self.processes():
                    return
                self._kill_once()
                time.sleep(_PAUSE)
        raise LaunchError(f"cannot kill the container's processes: {self.processes()} do not die")

    def _kill_once(self) -> None:
        if self.version == 2:
            try:
                write(f"{self._main}/cgroup.kill", "1")
                return
            except FileNotFoundError:  # before Linux 5.14
                pass
        can_freeze = self.version == 2 or self.directory("freezer") is not None
        if can_freeze:
            # What stands still does not fork. What is dying does not stand still, so nobody waits for that.
            self._request_freeze(is_frozen=True)
        for pid in self.processes():
            try:
                os.kill(pid, signals.SIGKILL)
            except ProcessLookupError:
                continue
        if can_freeze:
            self._request_freeze(is_frozen=False)

    def remove(self) -> None:
        """Remove the group, which must be empty, with what was made below it. Idempotent. Raises `LaunchError`."""
        for place in self.places:
            if not _is_removed(place):
                for directory in reversed(_tree(place)):
                    _remove(directory)


def read(directory: str | None, file: str) -> str:
    """What `file` of a group says; "" where there is no such group or file. Raises ``OSError`` for the rest."""
    try:
        fd = os.open(f"{directory}/{file}", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return ""
    with open(fd, "rb") as opened:
        try:
            return opened.read().decode("ascii", "replace")
        except OSError as error:
            if error.errno == errno.ENODEV:  # the group went away while it was open
                return ""
            raise


def write(path: str, text: str) -> None:
    """In one write(2), as these files want it. Raises ``OSError`` with the path."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    except OSError as error:
        error.filename = path
        raise
    finally:
        os.close(fd)


def _tree(directory: str) -> list[str]:
    """`directory` and all groups below it, outer ones first; none where it is gone."""
    found: list[str] = []
    ahead = [directory]
    while ahead:
        path = ahead.pop()
        try:
            with os.scandir(path) as entries:
                ahead += [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
        except FileNotFoundError:
            continue
        found.append(path)
    return found


def _is_removed(directory: str) -> bool:
    """Remove `directory` if that is done at once, as it mostly is; False while something is in it."""
    with Doing("remove a control group"):
        try:
            os.rmdir(directory)
        except FileNotFoundError:
            return True
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            return False
    return True


def _remove(directory: str) -> None:
    """rmdir(2), which a process on its way out holds up for a moment."""
    with Doing("remove a control group"):
        for attempt in range(_TRIES):
            try:
                os.rmdir(directory)
            except FileNotFoundError:
                return
            except OSError as error:
                if error.errno != errno.EBUSY or attempt == _TRIES - 1:
                    raise
                time.sleep(_PAUSE)
            else:
                return
