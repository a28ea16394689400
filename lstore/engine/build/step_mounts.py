"""What ``RUN --mount`` shows: mounted on the step's root as that is attached, in the container's mount namespace.

Targets are found inside the root by descriptor, or made there (`runner.inside`). Sources inside a stage or an
image are found the same way in their own root, mounted for the step alone: neither a symlink nor a ``..``
leads out of either (CVE-2024-1753, CVE-2024-23651, CVE-2024-23652, CVE-2024-9675). Secrets are never on disk.
"""

import os
import stat
from collections.abc import Sequence

from layerstore import linux
from layerstore.dataclass import dataclass
from layerstore.errors import LaunchError
from layerstore.mount import MountStack
from layerstore.snapshot import overlay
from runner.attachment import attach_at, clone, new_mount
from runner.failure import Doing
from runner.inside import locate, make_directory, make_file

_NO_DEVICES = linux.MOUNT_ATTR_NOSUID | linux.MOUNT_ATTR_NODEV
_INSIDE = linux.RESOLVE_IN_ROOT | linux.RESOLVE_NO_MAGICLINKS
_RESERVED = frozenset({"proc", "sys", "dev"})
"""What the launcher mounts afterwards, over whatever is there."""
_FILE = "content"


@dataclass(frozen=True, slots=True)
class StackSource:
    """The file or directory `path` of a root filesystem; what is written there is lost."""

    stack: MountStack
    path: str


@dataclass(frozen=True, slots=True)
class TmpfsSource:
    """An empty directory in memory, of `size` bytes at most."""

    size: int | None


@dataclass(frozen=True, slots=True)
class CacheSource:
    """A directory that outlives the step, made with these attributes where it is missing."""

    path: str
    mode: int
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class SocketSource:
    """A socket of the host, such as an ssh agent's."""

    path: str


@dataclass(frozen=True, slots=True)
class SecretSource:
    """A file that holds `data`, in memory only."""

    data: bytes
    mode: int
    uid: int
    gid: int


Source = StackSource | TmpfsSource | CacheSource | SocketSource | SecretSource


@dataclass(frozen=True, slots=True)
class StepMount:
    """`source` at `target` in the root of the step."""

    target: str
    source: Source
    is_read_only: bool


class StepRoot:
    """The root of one step with its mounts; what they need lies below the directory `state`."""

    def __init__(self, state: str, mounts: Sequence[StepMount]) -> None:
        self._state = state
        self._mounts = sorted(mounts, key=lambda each: each.target.count("/"))

    def attach(self, stack: MountStack, target: str) -> None:
        """Mount the step's root at `target`, and on it every mount, outer ones first. Raises `LaunchError`."""
        overlay.attach(stack, target)
        root = os.open(target, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for number, each in enumerate(self._mounts):
                with Doing(f"mount at {each.target}"):
                    self._mount(root, number, each)
        finally:
            os.close(root)

    def _mount(self, root: int, number: int, mount: StepMount) -> None:
        if not _RESERVED.isdisjoint(locate(root, mount.target)[:1]):
            raise LaunchError(f"cannot mount at {mount.target}: /proc, /sys and /dev are the kernel's")
        tree = self._tree(number, mount)
        try:
            is_directory = stat.S_ISDIR(os.fstat(tree).st_mode)
            point = (make_directory if is_directory else make_file)(root, mount.target)
            attach_at(tree, point)
            os.close(point)
        finally:
            os.close(tree)

    def _tree(self, number: int, mount: StepMount) -> int:
        """A detached mount of the source."""
        attributes = _NO_DEVICES | (linux.MOUNT_ATTR_RDONLY if mount.is_read_only else 0)
        match mount.source:
            case StackSource(stack, path):
                return self._part(number, stack, path, attributes)
            case TmpfsSource(size):
                options = (("mode", "1777"), *((("size", str(size)),) if size else ()))
                return new_mount("tmpfs", attributes, options)
            case CacheSource() as cache:
                _make_cache(cache)
                return clone(linux.AT_FDCWD, cache.path, attributes)
            case SocketSource(path):
                return clone(linux.AT_FDCWD, path, attributes)
            case SecretSource() as secret:
                return self._secret(number, secret, attributes)

    def _part(self, number: int, stack: MountStack, path: str, attributes: int) -> int:
        top = os.path.join(self._state, f"source-{number}")
        os.mkdir(top, 0o711)
        overlay.attach(self._with_upper(number, stack), top)
        root = os.open(top, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            found = linux.openat2(root, path.lstrip("/") or ".", os.O_PATH, resolve=_INSIDE)
        except FileNotFoundError as error:
            raise LaunchError(f"cannot mount {path}: it is not in the mount's source") from error
        finally:
            os.close(root)
        try:
            return clone(found, "", attributes)
        finally:
            os.close(found)

    def _with_upper(self, number: int, stack: MountStack) -> MountStack:
        """`stack` with somewhere to write to that goes with the step."""
        if self._mounts[number].is_read_only and stack.lowers:
            return stack
        upper, work = (os.path.join(self._state, f"{kind}-{number}") for kind in ("upper", "work"))
        for path in (upper, work):
            os.mkdir(path, 0o755)
        return MountStack(stack.lowers, upper, work, stack.userxattr, is_volatile=True)

    def _secret(self, number: int, secret: SecretSource, attributes: int) -> int:
        """The secret's file, in a tmpfs of its own that has a name only in this mount namespace."""
        place = os.path.join(self._state, f"secret-{number}")
        os.mkdir(place, 0o711)
        memory = new_mount("tmpfs", _NO_DEVICES, (("mode", "711"), ("size", "1m")))
        point = os.open(place, os.O_PATH | os.O_CLOEXEC)
        attach_at(memory, point)
        os.close(point)
        try:
            _write_secret(memory, secret)
            return clone(memory, _FILE, attributes)
        finally:
            os.close(memory)


def _make_cache(cache: CacheSource) -> None:
    try:
        os.mkdir(cache.path, 0o700)
    except FileExistsError:
        return
    os.chown(cache.path, cache.uid, cache.gid)
    os.chmod(cache.path, cache.mode)


def _write_secret(directory: int, secret: SecretSource) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    fd = os.open(_FILE, flags, 0o600, dir_fd=directory)
    with os.fdopen(fd, "wb", buffering=0) as file:
        file.write(secret.data)
        os.fchown(fd, secret.uid, secret.gid)
        os.fchmod(fd, secret.mode)
