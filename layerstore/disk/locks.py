"""Advisory locks on files: flock(2), as context managers, gone with the process that held them.

The order in which locks are taken is in docs/ordering.md: a blob's ingest lock, then the store lock.
"""

from __future__ import annotations

import errno
import fcntl
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_MODE = 0o600


class FileLock:
    """An open lock file. Made by `open_lock`; holds nothing until one of its methods says so."""

    def __init__(self, path: str, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    def try_exclusive(self) -> bool:
        """Take the lock alone, if nobody has it."""
        return self._try(fcntl.LOCK_EX)

    def try_shared(self) -> bool:
        """Take the lock together with others, if nobody has it alone."""
        return self._try(fcntl.LOCK_SH)

    def exclusive(self) -> None:
        """Take the lock alone, waiting for it."""
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def shared(self) -> None:
        """Take, or fall back to, the lock together with others, waiting for an exclusive holder.

        Falling back is not atomic, flock(2): somebody else may have had the lock alone in between.
        """
        fcntl.flock(self._descriptor, fcntl.LOCK_SH)

    def append(self, data: bytes) -> None:
        """Write `data` to the end of the lock file, for whoever finds it locked to read."""
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]

    def fileno(self) -> int:
        """The descriptor: whoever inherits it holds the lock, too, until all have closed it. flock(2)."""
        return self._descriptor

    def is_current(self) -> bool:
        """Whether the path still names the file that is locked; not so once somebody removed it."""
        try:
            there = os.stat(self.path, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return os.path.samestat(there, os.fstat(self._descriptor))

    def close(self) -> None:
        """Let go and close. Idempotent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _try(self, kind: int) -> bool:
        try:
            fcntl.flock(self._descriptor, kind | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES):
                return False
            raise
        return True


def open_lock(path: str, *, create: bool = True) -> FileLock:
    """The lock file at `path`, made where it is missing unless `create` is false. Raises `OSError`."""
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | (os.O_CREAT if create else 0)
    return FileLock(path, os.open(path, flags, _MODE))


def lock_directory(path: str) -> FileLock:
    """A lock on the directory `path` itself, which needs no lock file in it. Raises `OSError`."""
    return FileLock(path, os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))


class _Held:
    """The lock at `path`, taken by `take` when a block is entered, and let go when it is left."""

    def __init__(self, path: str, take: Callable[[FileLock], None]) -> None:
        self._path = path
        self._take = take

    def __enter__(self) -> None:
        self._lock = open_lock(self._path)
        try:
            self._take(self._lock)
        except BaseException:
            self._lock.close()
            raise

    def __exit__(self, *_exception: object) -> None:
        self._lock.close()


def exclusive(path: str) -> _Held:
    """A context manager: hold the lock at `path` alone."""
    return _Held(path, FileLock.exclusive)


def shared(path: str) -> _Held:
    """A context manager: hold the lock at `path` together with other sharers."""
    return _Held(path, FileLock.shared)
