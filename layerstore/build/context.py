"""A build context, or a stage's root to copy from, read by directory descriptors and never outside of it.

Symlinks are content. Only the names that a COPY spells are followed through them, inside the context as
if it were a root file system. openat2(2) with RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS opens what was
found, so that nobody who renames things meanwhile can lead a read elsewhere.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Final, NamedTuple

from layerstore.build.dockerignore import NOTHING, IgnoreMatcher, Matches, ignore_file_names
from layerstore.errors import Conflict, InvalidInput, LimitExceeded, file_error
from layerstore.layer.descent import Descent
from layerstore.layer.names import PATH_MAX, shown
from layerstore.linux.files import RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, openat2

MAX_ITEMS: Final = 2_000_000
"""Files and directories of one context."""
MAX_IGNORE_FILE: Final = 1 << 20
"""Bytes of a .dockerignore."""
MAX_DEPTH: Final = PATH_MAX // 2
"""Directories inside each other."""
_MAX_LINKS: Final = 40
"""Symlinks on the way to one source, as the kernel has it: path_resolution(7)."""
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
_BENEATH: Final = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS
_MISSING: Final = frozenset({errno.ENOENT, errno.ENOTDIR})


class Fidelity(Enum):
    """What of a file counts."""

    CONTENT = "content"
    """A build context: content, mode, file capabilities; whose the files are is the host's business."""
    EXACT = "exact"
    """A stage's or an image's root: owners and all portable attributes of files too."""


class Found(NamedTuple):
    """Something in a context."""

    path: str
    """Relative to the context's root, which is ``""``; undecodable bytes as surrogates, as ``os.fsdecode`` has them."""
    status: os.stat_result

    @property
    def is_directory(self) -> bool:
        """Whether it is one."""
        return stat.S_ISDIR(self.status.st_mode)


class Context:
    """A directory to copy from. `fd` stays the caller's."""

    def __init__(
        self, fd: int, ignore: IgnoreMatcher = NOTHING, *, fidelity: Fidelity = Fidelity.CONTENT
    ) -> None:
        self.fd = fd
        self.ignore = ignore
        self.fidelity = fidelity

    def find(self, path: str) -> Found | None:
        """What is at `path`, a last symlink not followed; None where nothing is, or it is left out.

        Raises `StorageError`.
        """
        status = self._status(path)
        if status is None:
            return None
        found = Found(path, status)
        if path and self.ignore.excludes(path):
            is_open = found.is_directory and self.ignore.may_let_in_below(path)
            return found if is_open and next(self.walk(path), None) is not None else None
        return found

    def resolve(self, path: str) -> str:
        """`path` with all symlinks on it followed inside the context, also the last; what is missing stays.

        Raises `InvalidInput` for a loop.
        """
        pending = path.split("/")[::-1]
        done: list[str] = []
        links = 0
        while pending:
            part = pending.pop()
            if part in ("", "."):
                continue
            if part == "..":
                del done[-1:]
                continue
            target = self._link("/".join([*done, part]))
            if target is None:
                done.append(part)
                continue
            links += 1
            if links > _MAX_LINKS:
                raise InvalidInput(f"cannot copy {path!r}: too many levels of symbolic links")
            if target.startswith("/"):
                done.clear()
            pending += target.split("/")[::-1]
        return "/".join(done)

    def names(self, directory: str) -> list[str]:
        """The names in `directory`, sorted by bytes, of what is not left out; none where it is no directory.

        Raises `StorageError`.
        """
        try:
            fd = self._open(directory, _DIRECTORY)
        except OSError as error:
            if error.errno in _MISSING:
                return []
            raise file_error(error, f"read {shown(os.fsencode(directory))} in the build context") from error
        try:
            names = sorted(os.listdir(fd), key=os.fsencode)
        finally:
            os.close(fd)
        prefix = f"{directory}/" if directory else ""
        return [name for name in names if self.find(prefix + name) is not None]

    def walk(self, top: str = "", *, depth: int | None = None) -> Iterator[Found]:
        """Everything below the directory `top`, without itself: a directory, then what is in it, names sorted
        by bytes. Sockets and what the ignore file leaves out are skipped; of directories that are left out
        those appear that something in them is let in again. What is deeper than `depth` need not come.

        Raises `StorageError`, `LimitExceeded`.
        """
        try:
            fd = self._open(top, _DIRECTORY)
            try:
                yield from _Walk(fd, top, self.ignore, depth or MAX_DEPTH).run()
            finally:
                os.close(fd)
        except OSError as error:
            raise file_error(error, f"read {shown(os.fsencode(top))} in the build context") from error

    def open(self, found: Found) -> int:
        """A descriptor of a regular file that was found. Raises `Conflict` where it is another one by now."""
        name = shown(os.fsencode(found.path))
        try:
            fd = self._open(found.path, _FILE)
        except OSError as error:
            if error.errno in (*_MISSING, errno.ELOOP, errno.EXDEV):
                raise Conflict(f"cannot read {name} in the build context: it changed meanwhile") from error
            raise file_error(error, f"read {name} in the build context") from error
        if not is_same(os.fstat(fd), found.status):
            os.close(fd)
            raise Conflict(f"cannot read {name} in the build context: it changed meanwhile")
        return fd

    def link_target(self, found: Found) -> bytes:
        """What the symlink `found` says. Raises `Conflict` where it is none any more."""
        target = self._link(found.path)
        if target is None:
            name = shown(os.fsencode(found.path))
            raise Conflict(f"cannot read {name} in the build context: it changed meanwhile")
        return os.fsencode(target)

    def _status(self, path: str) -> os.stat_result | None:
        if not path:
            return os.fstat(self.fd)
        with self._parent(path) as (parent, name):
            if parent is None:
                return None
            try:
                return os.stat(name, dir_fd=parent, follow_symlinks=False)
            except FileNotFoundError:
                return None

    def _link(self, path: str) -> str | None:
        """What the symlink at `path` says; None where there is none."""
        with self._parent(path) as (parent, name):
            if parent is None:
                return None
            try:
                return os.readlink(name, dir_fd=parent)
            except OSError as error:
                if error.errno in (*_MISSING, errno.EINVAL):
                    return None
                raise file_error(error, f"read {shown(os.fsencode(path))} in the build context") from error

    @contextmanager
    def _parent(self, path: str) -> Iterator[tuple[int | None, str]]:
        """The directory that holds `path`, None where there is none, and the last name."""
        directory, _, name = path.rpartition("/")
        if not directory:
            yield self.fd, name
            return
        try:
            fd = self._open(directory, _DIRECTORY)
        except OSError as error:
            if error.errno not in (*_MISSING, errno.ELOOP):
                raise file_error(error, f"read {shown(os.fsencode(path))} in the build context") from error
            yield None, name
            return
        try:
            yield fd, name
        finally:
            os.close(fd)

    def _open(self, path: str, flags: int) -> int:
        return openat2(self.fd, path or ".", flags, resolve=_BENEATH)


def is_same(one: os.stat_result, other: os.stat_result) -> bool:
    """Whether two states are of one file that was not changed between them."""
    return _state(one) == _state(other)


def _state(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


_Entry = tuple[str, os.stat_result]


class _Level:
    """A directory on the way down."""

    __slots__ = ("entries", "found", "is_shown", "matches", "prefix")

    def __init__(self, found: Found | None, entries: Iterator[_Entry], matches: Matches, prefix: str) -> None:
        self.found = found
        self.entries = entries
        self.matches = matches
        self.prefix = prefix
        self.is_shown = found is None


class _Walk:
    def __init__(self, fd: int, top: str, ignore: IgnoreMatcher, depth: int) -> None:
        self._descent = Descent(fd)
        self._depth = depth
        self._ignore = ignore
        matches: Matches = ()
        parts = top.split("/") if top else []
        for count in range(1, len(parts) + 1):
            _, matches = ignore.decide("/".join(parts[:count]), matches)
        self._levels = [_Level(None, self._entries(), matches, f"{top}/" if top else "")]

    def run(self) -> Iterator[Found]:
        count = 0
        try:
            while self._levels:
                for found in self._step():
                    count += 1
                    if count > MAX_ITEMS:
                        raise LimitExceeded(f"the build context has more than {MAX_ITEMS} files")
                    yield found
        finally:
            self._descent.close()

    def _step(self) -> Iterator[Found]:
        """Go through the entries at hand until one is to be entered, or all are done."""
        level = self._levels[-1]
        ignore, prefix, patterns = self._ignore, level.prefix, self._ignore.patterns
        for name, status in level.entries:
            path = prefix + name
            is_out, matches = ignore.decide(path, level.matches) if patterns else (False, ())
            is_directory = stat.S_ISDIR(status.st_mode)
            if is_out and not (is_directory and ignore.may_let_in_below(path)):
                continue
            if is_directory and (is_out or len(self._levels) < self._depth):
                self._descent.enter(os.fsencode(name))
                self._levels.append(_Level(Found(path, status), self._entries(), matches, f"{path}/"))
                if not is_out:
                    yield from self._shown()
                return
            if not stat.S_ISSOCK(status.st_mode):
                if not level.is_shown:
                    yield from self._shown()
                yield Found(path, status)
        self._levels.pop()
        if self._levels:
            os.close(self._descent.leave())

    def _shown(self) -> Iterator[Found]:
        """The directories on the way down that were held back until something in them is let in."""
        for level in self._levels:
            if not level.is_shown and level.found is not None:
                level.is_shown = True
                yield level.found

    def _entries(self) -> Iterator[_Entry]:
        """All of the directory at hand, with its states: on the way back up its descriptor may be another one."""
        found: list[_Entry] = []
        with os.scandir(self._descent.fd) as entries:
            for entry in entries:
                try:
                    found.append((entry.name, entry.stat(follow_symlinks=False)))
                except FileNotFoundError:  # removed a moment ago
                    continue
        found.sort(key=_name)
        return iter(found)


def _name(entry: _Entry) -> bytes:
    return os.fsencode(entry[0])


def read_ignore_file(fd: int, dockerfile: str) -> IgnoreMatcher:
    """The ignore patterns of the context open as `fd`, for the Dockerfile at `dockerfile` relative to it.

    Raises `InvalidInput` for an ignore file that is a symlink or no plain file, and for bad patterns;
    `LimitExceeded`.
    """
    for name in ignore_file_names(dockerfile):
        raw = _read_plain(fd, name)
        if raw is not None:
            return IgnoreMatcher.parse(raw)
    return NOTHING


def _read_plain(fd: int, name: str) -> bytes | None:
    try:
        file = openat2(fd, name, _FILE, resolve=_BENEATH)
    except OSError as error:
        if error.errno in _MISSING:
            return None
        if error.errno in (errno.ELOOP, errno.EXDEV):
            raise InvalidInput(f"cannot use {name}: a symbolic link, where a plain file is wanted") from error
        raise file_error(error, f"read {name}") from error
    with os.fdopen(file, "rb") as stream:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise InvalidInput(f"cannot use {name}: it is no plain file")
        raw = stream.read(MAX_IGNORE_FILE + 1)
    if len(raw) > MAX_IGNORE_FILE:
        raise LimitExceeded(f"{name} is longer than {MAX_IGNORE_FILE} bytes")
    return raw
