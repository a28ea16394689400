"""What ``RUN --mount`` shows: each made ready at a place of its own, in the container's mount namespace.

The launcher then binds the places at their targets, found inside the root by descriptor. Sources inside a
stage or an image are found the same way in their own root, mounted for the step alone: neither a symlink nor
a ``..`` leads out of either (CVE-2024-1753, CVE-2024-23651, CVE-2024-23652, CVE-2024-9675). Secrets are never on disk.
"""

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass

from layerstore import linux
from layerstore.errors import LaunchError
from layerstore.mount import MountStack
from layerstore.snapshot import overlay
from runner.attachment import attach_at, bind, new_mount
from runner.failure import Doing
from runner.spec import Mount as SpecMount

_NO_DEVICES = linux.MOUNT_ATTR_NOSUID | linux.MOUNT_ATTR_NODEV
_INSIDE = linux.RESOLVE_IN_ROOT | linux.RESOLVE_NO_MAGICLINKS
_SECRETS = "secrets"


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


class Places:
    """The places of one step's mounts, below its state directory."""

    def __init__(self, state: str, mounts: Sequence[StepMount]) -> None:
        self._state = state
        self._mounts = tuple(mounts)

    @property
    def spec_mounts(self) -> tuple[SpecMount, ...]:
        """What the launcher is to bind, once `attach` has been called."""
        return tuple(
            SpecMount(each.target, self._place(number), each.is_read_only)
            for number, each in enumerate(self._mounts)
        )

    def attach(self, stack: MountStack, target: str) -> None:
        """Mount the step's root at `target`, and every source at its place. Raises `LaunchError`."""
        overlay.attach(stack, target)
        if any(isinstance(each.source, SecretSource) for each in self._mounts):
            self._mount_memory()
        for number, each in enumerate(self._mounts):
            with Doing(f"prepare the mount at {each.target}"):
                self._prepare(number, each)

    def _mount_memory(self) -> None:
        path = os.path.join(self._state, _SECRETS)
        with Doing("prepare the step's secrets"):
            os.mkdir(path, 0o711)
            _attach(new_mount("tmpfs", _NO_DEVICES, (("mode", "711"), ("size", "16m"))), path)

    def _prepare(self, number: int, mount: StepMount) -> None:
        place = self._place(number)
        match mount.source:
            case StackSource(stack, path):
                self._open_stack(number, stack, path, place)
            case TmpfsSource(size):
                os.mkdir(place, 0o711)
                options = (("mode", "1777"), *((("size", str(size)),) if size else ()))
                _attach(new_mount("tmpfs", _NO_DEVICES, options), place)
            case CacheSource() as cache:
                _make_cache(cache)
                _make_point(place, is_directory=True)
                _bind(linux.AT_FDCWD, cache.path, place)
            case SocketSource(path):
                _make_point(place, is_directory=False)
                _bind(linux.AT_FDCWD, path, place)
            case SecretSource() as secret:
                _write_secret(place, secret)

    def _place(self, number: int) -> str:
        if isinstance(self._mounts[number].source, SecretSource):
            return os.path.join(self._state, _SECRETS, str(number))
        return os.path.join(self._state, f"mount-{number}")

    def _open_stack(self, number: int, stack: MountStack, path: str, place: str) -> None:
        top = os.path.join(self._state, f"source-{number}")
        os.mkdir(top, 0o711)
        writable = self._with_upper(number, stack)
        overlay.attach(writable, top)
        root = os.open(top, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            found = linux.openat2(root, path.lstrip("/") or ".", os.O_PATH, resolve=_INSIDE)
        except FileNotFoundError as error:
            raise LaunchError(f"cannot mount {path}: it is not in the mount's source") from error
        finally:
            os.close(root)
        _make_point(place, is_directory=stat.S_ISDIR(os.fstat(found).st_mode))
        _bind(found, "", place)
        os.close(found)

    def _with_upper(self, number: int, stack: MountStack) -> MountStack:
        """`stack` with somewhere to write to that goes with the step."""
        if self._mounts[number].is_read_only and stack.lowers:
            return stack
        upper, work = (os.path.join(self._state, f"{kind}-{number}") for kind in ("upper", "work"))
        for path in (upper, work):
            os.mkdir(path, 0o755)
        return MountStack(stack.lowers, upper, work, stack.userxattr)


def _attach(mount: int, path: str) -> None:
    point = os.open(path, os.O_PATH | os.O_CLOEXEC)
    attach_at(mount, point)
    os.close(point)
    os.close(mount)


def _bind(source: int, path: str, place: str) -> None:
    point = os.open(place, os.O_PATH | os.O_CLOEXEC)
    bind(source, path, point, _NO_DEVICES)
    os.close(point)


def _make_point(place: str, *, is_directory: bool) -> None:
    if is_directory:
        os.mkdir(place, 0o711)
    else:
        os.close(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def _make_cache(cache: CacheSource) -> None:
    try:
        os.mkdir(cache.path, 0o700)
    except FileExistsError:
        return
    os.chown(cache.path, cache.uid, cache.gid)
    os.chmod(cache.path, cache.mode)


def _write_secret(place: str, secret: SecretSource) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with os.fdopen(os.open(place, flags, 0o600), "wb", buffering=0) as file:
        file.write(secret.data)
        os.fchown(file.fileno(), secret.uid, secret.gid)
        os.fchmod(file.fileno(), secret.mode)
