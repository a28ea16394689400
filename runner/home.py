"""A container's directory: what is in it, and under which lock it changes.

    CONTAINERS/ID/lock        held, exclusively, by whoever changes the container
    CONTAINERS/ID/monitor     held by the monitor for as long as it lives; so nobody has to believe a process id
    CONTAINERS/ID/config      `ContainerConfig`
    CONTAINERS/ID/state       `ContainerState`; while a monitor lives, it alone writes this
    CONTAINERS/ID/end         a symbolic link to how its last run ended, where the disk was too full for `state`
    CONTAINERS/ID/log, log.1  what the container wrote, the newest in `log` (`runner.log_file`)
    CONTAINERS/ID/socket      where the monitor listens (`runner.wire`)
    CONTAINERS/names/NAME     a symbolic link to the ID: reserving a name is making the link

What a container that is removed at its end writes does not wait for the disk, as it does not outlive the machine's
run: one of whose files a power cut left nothing goes, too (`Home.is_lost`). Everything else is durable.

The order: the directory, then its name; a name goes before its directory. A directory whose status is
"creating" and whose lock is free belongs to a creator that was killed, and may go; so may one without a
state, of which `CONTAINERS` itself, locked together by all creators until it has one, tells.
"""

from __future__ import annotations

import errno
import os
import time

from layerstore.disk import locks
from layerstore.disk.publish import publish_file, remove_file, stage_bytes, write_file, write_passing_file
from layerstore.errors import Conflict, NoSpace, NotFound, StoreDamaged, storage_error
from runner import record
from runner.confinement import Confinement, Device, ResourceLimit, Sharing
from runner.container import CREATING, ContainerConfig, ContainerState, Probe
from runner.health import HealthCheck
from runner.limits import Limits, Throttle
from runner.restart import RestartPolicy
from runner.spec import Mount, Names, ProcessSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from layerstore.disk.locks import FileLock

NAMES = "names"
_END = "end"
_MAX_FILE = 4 << 20
INNER = (
    ProcessSpec, Mount, Names, Limits, Throttle, Confinement, Sharing, Device, ResourceLimit, RestartPolicy,
    HealthCheck,
)  # fmt: skip


class Home:
    """The directory of one container."""

    __slots__ = ("id", "path")

    def __init__(self, containers: str, identifier: str) -> None:
        self.id = identifier
        self.path = os.path.join(containers, identifier)

    def file(self, name: str) -> str:
        """The path of one of its files."""
        return os.path.join(self.path, name)

    def make(self) -> FileLock:
        """Make the directory, in status "creating"; its lock, held. Raises `StorageError`."""
        containers = os.path.dirname(self.path)
        try:
            os.makedirs(containers, mode=0o711, exist_ok=True)
            makers = locks.lock_directory(containers)
            try:
                makers.shared()
                os.mkdir(self.path, mode=0o711)
                lock = locks.open_lock(self.file("lock"))
                lock.exclusive()
                write_passing_file(self.file("state"), record.dump(CREATING), mode=0o600)
            finally:
                makers.close()
        except OSError as error:
            raise storage_error(error, f"make a container in {self.path}") from error
        return lock

    def is_stillborn(self) -> bool:
        """Whether the directory is there but whoever made it was killed before it had a state; for good, if so."""
        try:
            makers = locks.lock_directory(os.path.dirname(self.path))
        except FileNotFoundError:
            return False
        try:
            makers.exclusive()
            return os.path.isdir(self.path) and not os.path.exists(self.file("state"))
        finally:
            makers.close()

    def is_lost(self) -> bool:
        """Whether a power cut took what was written without waiting for the disk: a file is there, and empty."""
        try:
            return any(os.stat(self.file(name)).st_size == 0 for name in ("state", "config"))
        except FileNotFoundError:
            return False

    def lock(self) -> FileLock:
        """The container's lock, waited for. Raises `NotFound` where the container is gone by then."""
        try:
            lock = locks.open_lock(self.file("lock"), create=False)
        except FileNotFoundError as error:
            raise NotFound(f"no such container: {self.id}") from error
        lock.exclusive()
        if not lock.is_current():
            lock.close()
            raise NotFound(f"no such container: {self.id}")
        return lock

    def try_lock(self) -> FileLock | None:
        """The container's lock, or None while somebody has it. Raises `NotFound`."""
        try:
            lock = locks.open_lock(self.file("lock"), create=False)
        except FileNotFoundError as error:
            raise NotFound(f"no such container: {self.id}") from error
        if lock.try_exclusive() and lock.is_current():
            return lock
        lock.close()
        return None

    def is_monitored(self) -> bool:
        """Whether a monitor lives."""
        try:
            lock = locks.open_lock(self.file("monitor"), create=False)
        except FileNotFoundError:
            return False
        try:
            return not lock.try_shared()
        finally:
            lock.close()

    def await_end_of_monitor(self) -> None:
        """Wait, for a second at most, for a monitor that hung up: the kernel frees what it held in no given order."""
        for _ in range(100):
            if not self.is_monitored():
                return
            time.sleep(0.01)

    def config(self) -> ContainerConfig:
        """Raises `NotFound`, `StoreDamaged`."""
        return record.load(self._read("config"), ContainerConfig, INNER, f"container {self.id[:12]}")

    def keeps(self, config: ContainerConfig) -> bool:
        """Whether `config` is what is written here, found out without parsing. Raises `NotFound`."""
        return self._read("config") == record.dump(config)

    def state(self) -> ContainerState:
        """Raises `NotFound`, `StoreDamaged`."""
        state = record.load(
            self._read("state"), ContainerState, (Probe,), f"the state of container {self.id[:12]}"
        )
        return self._as_it_ended(state) if state.is_alive else state

    def _as_it_ended(self, state: ContainerState) -> ContainerState:
        """`state`, or what `write_end` left of its end."""
        try:
            run, code, moment, is_oom_killed = os.readlink(self.file(_END)).split(" ")
        except (OSError, ValueError):
            return state
        if run != _run(state):
            return state
        return state.but(
            status="exited", pid=0, pid_start=0, exit_code=int(code), finished_at=moment, is_paused=False,
            is_oom_killed=is_oom_killed == "1",
        )  # fmt: skip

    def write_config(self, config: ContainerConfig) -> None:
        """Durable, but for one that is removed at its end. The caller holds the lock."""
        self._write("config", record.dump(config), is_durable=not config.is_removed_at_end)

    def write_state(self, state: ContainerState, *, is_durable: bool = True) -> None:
        """Durable, unless that is not asked for. The caller is the monitor, or holds the lock while there is none."""
        self._write("state", record.dump(state), is_durable=is_durable)

    def stage_state(self, state: ContainerState, *, is_durable: bool = True) -> str:
        """Half of `write_state`: `state` is on the disk, as the file that comes back, and nobody sees it yet.

        It is for `publish_state`, or to be removed. Raises `StorageError`.
        """
        try:
            return stage_bytes(self.file("state"), record.dump(state), mode=0o600, is_durable=is_durable)
        except OSError as error:
            raise storage_error(error, f"write {self.file('state')}") from error

    def publish_state(self, staged: str, *, is_durable: bool = True) -> None:
        """The other half. Raises `StorageError`."""
        try:
            publish_file(staged, self.file("state"), is_durable=is_durable)
        except OSError as error:
            raise storage_error(error, f"write {self.file('state')}") from error

    def write_end(self, state: ContainerState, *, written: ContainerState, is_durable: bool = True) -> None:
        """As `write_state` for one that has ended; on a full disk as much of it as needs no room.

        `written` is the state that is there. A symbolic link of less than 60 bytes lies in its inode, in ext4 as in
        tmpfs. Raises `StorageError`.
        """
        try:
            self.write_state(state, is_durable=is_durable)
        except NoSpace as error:
            text = f"{_run(written)} {state.exit_code} {state.finished_at} {int(state.is_oom_killed)}"
            try:
                remove_file(self.file(_END))
                os.symlink(text, self.file(_END))
            except OSError:
                raise error from None

    def _read(self, name: str) -> bytes:
        try:
            fd = os.open(self.file(name), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise NotFound(f"no such container: {self.id}") from error
        except OSError as error:
            raise StoreDamaged(f"cannot read {self.file(name)}: {error.strerror}") from error
        with open(fd, "rb") as stream:
            return stream.read(_MAX_FILE)

    def _write(self, name: str, data: bytes, *, is_durable: bool) -> None:
        write = write_file if is_durable else write_passing_file
        try:
            write(self.file(name), data, mode=0o600)
        except OSError as error:
            raise storage_error(error, f"write {self.file(name)}") from error


def _run(state: ContainerState) -> str:
    """What tells one run of a container from another: its start, but for day and hour."""
    return state.started_at[14:]


def reserve_name(containers: str, name: str, identifier: str) -> None:
    """Let `name` stand for the container `identifier`. Raises `Conflict` where it stands for another one."""
    path = os.path.join(containers, NAMES, name)
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        while not _is_linked(identifier, path):
            holder = named(containers, name)
            if holder == identifier:
                return
            if holder is not None and os.path.isdir(os.path.join(containers, holder)):
                raise Conflict(
                    f"the name {name!r} is in use by container {holder[:12]}", hint=f"lstore rm {name}"
                )
            remove_file(path)  # names come after their directory, and go before it: a rename was killed
    except OSError as error:
        raise storage_error(error, f"reserve the name {name}") from error


def _is_linked(identifier: str, path: str) -> bool:
    try:
        os.symlink(identifier, path)
    except FileExistsError:
        return False
    return True


def release_name(containers: str, name: str, identifier: str) -> None:
    """Let `name` go, if it stands for `identifier`. Idempotent."""
    if named(containers, name) == identifier:
        remove_file(os.path.join(containers, NAMES, name))


def named(containers: str, name: str) -> str | None:
    """The id that `name` stands for."""
    try:
        return os.readlink(os.path.join(containers, NAMES, name))
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.EINVAL, errno.ENAMETOOLONG, errno.ENOTDIR):
            return None
        raise


def names_in(containers: str) -> list[str]:
    """All names that stand for containers, in no order."""
    try:
        return os.listdir(os.path.join(containers, NAMES))
    except FileNotFoundError:
        return []


def process_start(pid: int) -> int:
    """When process `pid` started, in the kernel's ticks since boot: proc(5) stat, field 22; 0 without one."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stream:
            text = stream.read()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(text[text.rindex(b")") + 2 :].split()[19])


def boot_id() -> str:
    """What tells this boot of the machine from any other."""
    with open("/proc/sys/kernel/random/boot_id", "rb") as stream:
        return stream.read().strip().decode("ascii")
