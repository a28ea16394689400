"""What a snapshot changed, read from its overlay upper directory. OCI image-spec, layer.md, "Creating".

Only what lies in the upper directory is visited, and of the merged lower only the same places: whether
something is there, and whether a copied-up file is still what it was. Removals come as single whiteouts
(the specification's SHOULD), also where overlayfs marks a directory opaque.

Linux ``Documentation/filesystems/overlayfs.rst`` has the marks: a whiteout is a 0:0 character device or
carries ``overlay.whiteout``; ``overlay.opaque=y`` hides a directory's lower content. Our mounts make no
renames by reference and no files without content (`layerstore.snapshot.overlay`): such are refused.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from enum import Enum
from functools import partial
from typing import Final, NamedTuple

from layerstore.errors import Conflict, LimitExceeded, UnsupportedContent, storage_error
from layerstore.layer.changeset import WHITEOUT_PREFIX
from layerstore.layer.descent import Descent
from layerstore.layer.entry import Entry, Kind
from layerstore.layer.metadata import Observed, observe
from layerstore.layer.names import PATH_MAX, shown
from layerstore.layer.pack import Member

_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CHUNK: Final = 1 << 20


class ChangeKind(Enum):
    """``docker diff``'s letters."""

    ADDED = "A"
    CHANGED = "C"
    DELETED = "D"


class Change(NamedTuple):
    """One path that the snapshot has otherwise than its parent."""

    kind: ChangeKind
    entry: Entry
    """As a layer has it: removals are of `Kind.WHITEOUT`. The root is ``b""``."""
    directory: int
    """The upper directory that holds it, open until the next change is asked for."""

    def open(self) -> int:
        """A descriptor of the regular file's content. Raises `Conflict` where it is another file by now."""
        fd, entry = self.open_as_it_is()
        if entry != self.entry:
            os.close(fd)
            raise Conflict(f"cannot read {shown(self.entry.path)}: it changed meanwhile")
        return fd

    def open_as_it_is(self) -> tuple[int, Entry]:
        """As `open`, with the entry of the file by now. Raises `Conflict` where it is no regular file any more."""
        name = self.entry.path.rpartition(b"/")[2]
        try:
            fd = os.open(name, _FILE, dir_fd=self.directory)
        except OSError as error:
            raise storage_error(error, f"read {shown(self.entry.path)}") from error
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            os.close(fd)
            raise Conflict(f"cannot read {shown(self.entry.path)}: it changed meanwhile")
        seconds, nanoseconds = divmod(status.st_mtime_ns, 10**9)
        return fd, self.entry._replace(size=status.st_size, mtime=seconds, nsec=nanoseconds)


def diff(upper: int, lower: int | None, *, userxattr: bool = False) -> Iterator[Change]:
    """What the directory `upper` changes of the directory `lower`; all of it is new where that is None.

    `lower` is the merged root filesystem below. Marks are read from ``user.overlay.*`` with `userxattr`,
    else from ``trusted.overlay.*``. Changes come sorted: a directory before what is in it, names in byte
    order. Directories that only hold changes are changes, as with docker; sockets are none.

    Raises `UnsupportedContent` for what no layer can say (names that start with ``.wh.``, renames by
    reference), `LimitExceeded` for paths past `PATH_MAX`, `StorageError`.
    """
    walk = _Diff(upper, lower, b"user.overlay." if userxattr else b"trusted.overlay.")
    try:
        yield from walk.run()
    except OSError as error:
        raise storage_error(error, f"read the changes below {shown(walk.path)}") from error
    finally:
        walk.close()


def members(changes: Iterable[Change], *, is_live: bool = False) -> Iterator[Member]:
    """`changes` as a layer's members, each file open for as long as its member is the last one taken.

    With `is_live`, a file that somebody writes to is taken as it is when it is opened; else that is a `Conflict`.
    """
    for change in changes:
        if change.entry.kind is not Kind.REGULAR:
            yield Member(change.entry)
            continue
        fd, entry = change.open_as_it_is() if is_live else (change.open(), change.entry)
        try:
            yield Member(entry, partial(_read, fd))
        finally:
            os.close(fd)


def _read(fd: int, offset: int, size: int) -> bytes:
    return os.pread(fd, size, offset)


class _Level:
    """One directory being read, and what the lower has at the same place."""

    __slots__ = ("has_lower", "hides_lower", "path", "pending")

    def __init__(self, path: bytes, names: Iterable[bytes], *, has_lower: bool, hides_lower: bool) -> None:
        self.path = path
        self.pending = iter(sorted(names))
        self.has_lower = has_lower
        """Whether that is a directory too; the walk through the lower then stands in it."""
        self.hides_lower = hides_lower
        """Whether nothing in it is visible any more."""

    def join(self, name: bytes) -> bytes:
        """The path of `name` in this directory. Raises `LimitExceeded`."""
        path = self.path + b"/" + name if self.path else name
        if len(path) >= PATH_MAX:
            raise LimitExceeded(f"cannot read the changes at {shown(path)}: longer than {PATH_MAX - 1} bytes")
        return path


class _Diff:
    def __init__(self, upper: int, lower: int | None, prefix: bytes) -> None:
        self._upper = Descent(upper)
        self._lower = None if lower is None else Descent(lower)
        self._opaque, self._whiteout = prefix + b"opaque", prefix + b"whiteout"
        self._elsewhere = frozenset({prefix + b"redirect", prefix + b"metacopy"})
        self._levels: list[_Level] = []
        self._first_names: dict[tuple[int, int], bytes] = {}

    @property
    def path(self) -> bytes:
        """The directory being read, for messages."""
        return self._levels[-1].path if self._levels else b""

    def close(self) -> None:
        self._upper.close()
        if self._lower is not None:
            self._lower.close()

    def run(self) -> Iterator[Change]:
        self._push(b"", has_lower=self._lower is not None, hides_lower=False)
        yield from self._root()
        while self._levels:
            level = self._levels[-1]
            for name in level.pending:
                path = level.join(name)
                upper, below = observe(self._upper.fd, name, path), self._below(name, path)
                change = self._change(name, path, upper, below)
                if change is not None:
                    yield change
                if upper is not None and upper.is_directory:
                    self._enter(name, path, upper, below)
                    break
            else:
                self._leave()

    def _below(self, name: bytes, path: bytes) -> Observed | None:
        """What the lower has at the place in the directory at hand."""
        if self._lower is None or not self._levels[-1].has_lower:
            return None
        return observe(self._lower.fd, name, path)

    def _enter(self, name: bytes, path: bytes, upper: Observed, below: Observed | None) -> None:
        has_lower = below is not None and below.is_directory
        is_opaque = upper.attributes.get(self._opaque) == b"y"
        hides_lower = self._levels[-1].hides_lower or is_opaque
        self._upper.enter(name)
        if has_lower and self._lower is not None:
            self._lower.enter(name)
        self._push(path, has_lower=has_lower, hides_lower=hides_lower)

    def _push(self, path: bytes, *, has_lower: bool, hides_lower: bool) -> None:
        names = set(_names(self._upper.fd))
        if hides_lower and has_lower and self._lower is not None:
            names.update(_names(self._lower.fd))
        self._levels.append(_Level(path, names, has_lower=has_lower, hides_lower=hides_lower))

    def _leave(self) -> None:
        level = self._levels.pop()
        if self._levels:
            os.close(self._upper.leave())
            if level.has_lower and self._lower is not None:
                os.close(self._lower.leave())

    def _root(self) -> Iterator[Change]:
        """The root, unless only its time differs: that is of the upper directory's making, and docker's layers
        have no root either.
        """
        upper, below = observe(self._upper.fd, b".", b""), self._below(b".", b"")
        if upper is None or upper.entry is None:
            return
        if below is None or below.entry is None:
            yield Change(ChangeKind.ADDED, upper.entry, self._upper.fd)
        elif below.entry != upper.entry._replace(mtime=below.entry.mtime, nsec=below.entry.nsec):
            yield Change(ChangeKind.CHANGED, upper.entry, self._upper.fd)

    def _change(
        self, name: bytes, path: bytes, upper: Observed | None, below: Observed | None
    ) -> Change | None:
        entry = None if upper is None or self._is_whiteout(upper) else upper.entry
        if upper is None or entry is None:
            removed = Entry(path, Kind.WHITEOUT)
            return None if below is None else Change(ChangeKind.DELETED, removed, self._upper.fd)
        if name.startswith(WHITEOUT_PREFIX):
            raise UnsupportedContent(
                f"cannot make a layer with {shown(path)}: the name means a removal there"
            )
        self._check_is_here(entry, upper)
        if not upper.is_directory and upper.status.st_nlink > 1:
            entry = self._linked(entry, upper.status)
        elif below is not None and self._is_unchanged(name, entry, below):
            return None
        return Change(ChangeKind.ADDED if below is None else ChangeKind.CHANGED, entry, self._upper.fd)

    def _is_whiteout(self, upper: Observed) -> bool:
        status = upper.status
        if stat.S_ISCHR(status.st_mode):
            return status.st_rdev == 0
        return stat.S_ISREG(status.st_mode) and status.st_size == 0 and self._whiteout in upper.attributes

    def _check_is_here(self, entry: Entry, upper: Observed) -> None:
        """Raises `UnsupportedContent` where what makes up `entry` is elsewhere."""
        for mark in upper.attributes.keys() & self._elsewhere:
            raise UnsupportedContent(
                f"cannot make a layer with {shown(entry.path)}: its content is elsewhere, says {shown(mark)}"
            )

    def _linked(self, entry: Entry, status: os.stat_result) -> Entry:
        """`entry`, or a hardlink to the first name of the same file."""
        first = self._first_names.setdefault((status.st_dev, status.st_ino), entry.path)
        return entry if first == entry.path else entry._replace(kind=Kind.HARDLINK, size=0, link=first)

    def _is_unchanged(self, name: bytes, entry: Entry, below: Observed) -> bool:
        """Whether a file was copied up and is what it was: opening it for writing is enough for that."""
        if entry.kind is Kind.DIRECTORY or below.entry != entry or self._lower is None:
            return False
        return entry.kind is not Kind.REGULAR or _is_same_content(self._upper.fd, self._lower.fd, name)


def _names(directory: int) -> Iterator[bytes]:
    return map(os.fsencode, os.listdir(directory))


def _is_same_content(one: int, other: int, name: bytes) -> bool:
    """Whether the files `name` in both directories hold the same bytes."""
    with (
        open(os.open(name, _FILE, dir_fd=one), "rb") as first,
        open(os.open(name, _FILE, dir_fd=other), "rb") as second,
    ):
        while chunk := first.read(_CHUNK):
            if second.read(_CHUNK) != chunk:
                return False
        return not second.read(1)
