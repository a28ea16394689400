"""Make files durable and visible. fsync(2), rename(2); the order is restic's: write, sync, rename, sync.

Every function is atomic towards readers: they see the old state or the new one.
"""

import os

from layerstore.disk.faults import CrashPoint

TEMPORARY_PREFIX = ".tmp-"
"""What a name starts with until it is published; whoever finds one that nobody writes may remove it."""

_WRITTEN = CrashPoint("publish: temporary file durable")
_RENAMED = CrashPoint("publish: renamed, directory not synced")


class OpenedDirectory:
    """A block with a descriptor of the directory `path`, for what is asked of descriptors alone."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> int:
        self._descriptor = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        return self._descriptor

    def __exit__(self, *_exception: object) -> None:
        os.close(self._descriptor)


def sync_directory(path: str) -> None:
    """Make the names in the directory `path` durable."""
    with OpenedDirectory(path) as descriptor:
        os.fsync(descriptor)


def sync_file(path: str) -> None:
    """Make the bytes of the file at `path` durable, whoever wrote them."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)


def sync_descriptor(descriptor: int) -> None:
    """Make the bytes behind an open file durable."""
    os.fdatasync(descriptor)


def move(source: str, destination: str) -> None:
    """Rename within one file system, over a file at `destination`; durable once both directories are."""
    os.rename(source, destination)


def temporary_name(directory: str, name: str) -> str:
    """A path in `directory`, made of `TEMPORARY_PREFIX` and `name`, that nobody else uses."""
    return os.path.join(directory, f"{TEMPORARY_PREFIX}{name}.{os.urandom(4).hex()}")


def stage_bytes(path: str, data: bytes, *, mode: int = 0o644, is_durable: bool = True) -> str:
    """Write `data` under the returned temporary name beside `path`; nothing is visible until `publish_file`."""
    directory, name = os.path.split(path)
    temporary = temporary_name(directory, name)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(temporary, flags, mode)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        if is_durable:
            os.fdatasync(descriptor)
    except BaseException:
        os.unlink(temporary)
        raise
    finally:
        os.close(descriptor)
    return temporary


def publish_file(temporary: str, path: str, *, is_durable: bool = True) -> None:
    """Let `path` be what `stage_bytes` wrote as `temporary`."""
    try:
        os.rename(temporary, path)
    except OSError:
        os.unlink(temporary)
        raise
    if is_durable:
        _RENAMED.reach()
        sync_directory(os.path.dirname(path))


def write_file(path: str, data: bytes, *, mode: int = 0o644) -> None:
    """Let `path` hold exactly `data`, durably, and never anything between the old bytes and the new."""
    temporary = stage_bytes(path, data, mode=mode)
    _WRITTEN.reach()
    publish_file(temporary, path)


def write_passing_file(path: str, data: bytes, *, mode: int = 0o644) -> None:
    """As `write_file` towards readers, but not durable: after a power cut the file may be empty, old or missing.

    For what is of no use after that.
    """
    publish_file(stage_bytes(path, data, mode=mode, is_durable=False), path, is_durable=False)


def make_directories(path: str, *, mode: int = 0o755) -> None:
    """The directory `path` and its parents, each durable in its own parent. Idempotent."""
    if os.path.isdir(path):
        return
    parent = os.path.dirname(path)
    if parent and parent != path:
        make_directories(parent, mode=mode)
    try:
        os.mkdir(path, mode)
    except FileExistsError:
        return
    sync_directory(parent or ".")


def remove_file(path: str) -> None:
    """Unlink `path` if it is there; durable once its directory is synced."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
