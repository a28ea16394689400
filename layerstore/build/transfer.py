"""COPY, ADD and WORKDIR as the members of a layer, written without a mount.

Destinations are resolved in the `RootTree` that the layer goes on top of, sources come by `Selection`. Rules
are BuildKit's: a directory's content goes into the destination, a file to it or into it; parents are made,
what is there as a directory stays one. Times are `FILE_TIME`: a layer's digest says what was copied, not
when it was checked out (docs/adr/0006-copied-files-have-one-time.md).
"""

import os
import stat
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Final, NamedTuple

from layerstore.build.content_key import attributes_of
from layerstore.build.context import Context, Fidelity, Found
from layerstore.build.file_mode import changed_mode
from layerstore.build.owner import Owner
from layerstore.build.root_tree import RootTree
from layerstore.build.selection import Selection
from layerstore.dataclass import dataclass
from layerstore.errors import InvalidInput, LimitExceeded, UnsupportedContent, file_error
from layerstore.layer.changeset import WHITEOUT_PREFIX
from layerstore.layer.entry import MAX_ENTRIES, NO_XATTRS, Entry, Kind
from layerstore.layer.names import PATH_MAX, shown
from layerstore.layer.pack import Member, Read

FILE_TIME: Final = 315_532_800
"""1980-01-01, in seconds since the epoch: the first moment that ZIP, and so a wheel or a jar, can hold."""
ROOT: Final[Owner] = (0, 0)
_DIRECTORY_MODE: Final = 0o755
_FILE_MODE: Final = 0o644
_KINDS: Final = {
    stat.S_IFREG: Kind.REGULAR,
    stat.S_IFDIR: Kind.DIRECTORY,
    stat.S_IFLNK: Kind.SYMLINK,
    stat.S_IFIFO: Kind.FIFO,
    stat.S_IFCHR: Kind.CHARACTER,
    stat.S_IFBLK: Kind.BLOCK,
}
_DEVICES: Final = frozenset({Kind.CHARACTER, Kind.BLOCK})


@dataclass(frozen=True, slots=True)
class Destination:
    """Where things go, and what becomes of their owners and modes."""

    path: str
    """Absolute and clean; a slash at its end says that it is a directory."""
    owner: Owner | None = None
    """None: the source's; in a build context, root."""
    mode: str = ""
    """``--chmod``."""

    @property
    def is_directory(self) -> bool:
        """Whether it says so itself."""
        return self.path.endswith("/")


class _Placed(NamedTuple):
    """One path of the new layer, and where its content is."""

    entry: Entry
    origin: tuple[Context, Found] | None = None
    read: Read | None = None


class LayerPlan:
    """What a new layer on top of `root` is to hold; `members` gives it once all is placed.

    Without `root` (``--link``) the layer depends on nothing below it, and says nothing about parents.
    """

    def __init__(self, root: RootTree | None) -> None:
        self._root = root or RootTree()
        self._is_linked = root is None
        self._placed: dict[bytes, _Placed] = {}

    def copy(
        self,
        context: Context,
        selections: tuple[Selection, ...],
        to: Destination,
        *,
        owners: RootTree | None = None,
    ) -> None:
        """Place what `selections` of `context` stand for; with `owners`, where its files do not have their own.

        Raises `InvalidInput` where a file would take a directory's place or the other way round, and where
        several sources have one name to go to.
        """
        several = len(selections) > 1
        for selection in selections:
            base = self._base(to, selection.name, several=several)
            for target, found in selection.items:
                path = _join(base, os.fsencode(target))
                if not target and selection.is_directory:
                    self.make_directory(base, to.owner or ROOT)
                else:
                    placed = self._copied(context, found, path, to)
                    if owners is not None and to.owner is None:
                        theirs = owners.with_owner(placed.entry._replace(path=os.fsencode(found.path)))
                        placed = placed._replace(entry=theirs._replace(path=path))
                    self._put(path, placed)

    def write(self, name: str, content: bytes, to: Destination, *, mode: int = _FILE_MODE) -> None:
        """Place a file of that `content`, a heredoc's or a download's. Raises as `copy` does."""
        path = self._base(to, name, several=False)
        uid, gid = to.owner or ROOT
        entry = Entry(
            path,
            Kind.REGULAR,
            changed_mode(to.mode, mode, is_directory=False),
            uid,
            gid,
            FILE_TIME,
            size=len(content),
        )
        self._put(path, _Placed(entry, read=partial(_read_bytes, content)))

    def unpack(self, entries: Iterator[Entry], read: Read, to: Destination) -> None:
        """Place what is in an archive, whose contents `read` reads, into the directory `to`.

        Raises `UnsupportedContent` for names that a layer takes for removals, and what `entries` raises.
        """
        base = self._root.resolve(os.fsencode(to.path.strip("/")))
        self.make_directory(base, to.owner or ROOT)
        for entry in entries:
            if not entry.path:
                continue
            path = _join(base, entry.path)
            uid, gid = to.owner or (entry.uid, entry.gid)
            mode = changed_mode(to.mode, entry.mode, is_directory=entry.kind is Kind.DIRECTORY)
            link = _join(base, entry.link) if entry.kind is Kind.HARDLINK else entry.link
            self._check_name(path)
            self._parents(path, to.owner or ROOT)
            moved = entry._replace(path=path, uid=uid, gid=gid, mode=mode, link=link)
            self._placed[path] = _Placed(moved, read=read if entry.kind is Kind.REGULAR else None)

    def make_directory(self, path: bytes, owner: Owner, mode: int = _DIRECTORY_MODE) -> None:
        """Place the directory `path`, links resolved, unless it is there. Raises `InvalidInput`."""
        if not path or self._is_linked:
            return
        present = self._present(path)
        if present is None:
            self._parents(path, owner)
            self._placed[path] = _Placed(Entry(path, Kind.DIRECTORY, mode, *owner, FILE_TIME))
        elif present.kind is not Kind.DIRECTORY:
            raise InvalidInput(f"cannot copy to /{shown(path)}: it is no directory")

    def members(self) -> Iterator[Member]:
        """The layer's members, a directory before what is in it; each file is open while its member is the last.

        Raises `Conflict` where a file changed meanwhile, `StorageError`.
        """
        first_names: dict[tuple[int, int], bytes] = {}
        for path in sorted(self._placed):
            entry, origin, read = self._placed[path]
            if origin is None:
                yield Member(entry, read)
                continue
            context, found = origin
            identity = (found.status.st_dev, found.status.st_ino)
            if entry.kind is not Kind.DIRECTORY and found.status.st_nlink > 1:
                first = first_names.setdefault(identity, path)
                if first != path:
                    yield Member(entry._replace(kind=Kind.HARDLINK, size=0, link=first, xattrs=NO_XATTRS))
                    continue
            yield from _opened(context, found, entry)

    def _base(self, to: Destination, name: str, *, several: bool) -> bytes:
        """The path that a source called `name` goes to; a directory's content, which has no name, goes below it."""
        path = self._root.resolve(os.fsencode(to.path.strip("/")))
        if not name:
            return path
        present = self._present(path) if path else Entry(b"", Kind.DIRECTORY)
        if to.is_directory or (present is not None and present.kind is Kind.DIRECTORY):
            return _join(path, os.fsencode(name))
        if several:
            raise InvalidInput(
                f"cannot copy several sources to {to.path}: it must be a directory and end with a /"
            )
        return path

    def _copied(self, context: Context, found: Found, path: bytes, to: Destination) -> _Placed:
        status = found.status
        kind = _KINDS[stat.S_IFMT(status.st_mode)]
        if kind in _DEVICES and context.fidelity is Fidelity.CONTENT:
            raise UnsupportedContent(f"cannot copy {found.path}: a device is no content")
        own = (status.st_uid, status.st_gid) if context.fidelity is Fidelity.EXACT else ROOT
        uid, gid = to.owner or own
        mode = stat.S_IMODE(status.st_mode)
        if kind is not Kind.SYMLINK:
            mode = changed_mode(to.mode, mode, is_directory=kind is Kind.DIRECTORY)
        is_device = kind in _DEVICES
        entry = Entry(
            path,
            kind,
            mode,
            uid,
            gid,
            FILE_TIME,
            size=status.st_size if kind is Kind.REGULAR else 0,
            link=context.link_target(found) if kind is Kind.SYMLINK else b"",
            major=os.major(status.st_rdev) if is_device else 0,
            minor=os.minor(status.st_rdev) if is_device else 0,
        )
        return _Placed(entry, (context, found))

    def _put(self, path: bytes, placed: _Placed) -> None:
        self._check_name(path)
        present = self._present(path)
        is_directory = placed.entry.kind is Kind.DIRECTORY
        if present is not None and is_directory != (present.kind is Kind.DIRECTORY):
            what = "it is no directory" if is_directory else "it is a directory"
            raise InvalidInput(f"cannot copy to /{shown(path)}: {what}")
        self._parents(path, (placed.entry.uid, placed.entry.gid))
        self._placed[path] = placed
        if len(self._placed) > MAX_ENTRIES:
            raise LimitExceeded(f"cannot copy more than {MAX_ENTRIES} files")

    def _check_name(self, path: bytes) -> None:
        if path.rpartition(b"/")[2].startswith(WHITEOUT_PREFIX):
            raise UnsupportedContent(f"cannot copy {shown(path)}: a layer takes the name for a removal")
        if len(path) >= PATH_MAX:
            raise LimitExceeded(f"cannot copy to {shown(path)}: longer than {PATH_MAX - 1} bytes")

    def _parents(self, path: bytes, owner: Owner) -> None:
        """The directories above `path`: as they are below, or new."""
        if self._is_linked:
            return
        parent = path.rpartition(b"/")[0]
        missing: list[bytes] = []
        while parent and parent not in self._placed:
            missing.append(parent)
            parent = parent.rpartition(b"/")[0]
        if parent and self._placed[parent].entry.kind is not Kind.DIRECTORY:
            raise InvalidInput(f"cannot copy to /{shown(path)}: /{shown(parent)} is no directory")
        for each in reversed(missing):
            below = self._root.find(each)
            if below is not None and below.kind is not Kind.DIRECTORY:
                raise InvalidInput(f"cannot copy to /{shown(path)}: /{shown(each)} is no directory")
            self._placed[each] = _Placed(
                below or Entry(each, Kind.DIRECTORY, _DIRECTORY_MODE, *owner, FILE_TIME)
            )

    def _present(self, path: bytes) -> Entry | None:
        placed = self._placed.get(path)
        return placed.entry if placed is not None else self._root.find(path)


def _opened(context: Context, found: Found, entry: Entry) -> Iterator[Member]:
    """The member of what was found, with its attributes and, while it is the last, its content."""
    if entry.kind not in (Kind.REGULAR, Kind.DIRECTORY):
        yield Member(entry)
        return
    if entry.kind is Kind.DIRECTORY and context.fidelity is Fidelity.CONTENT:
        yield Member(entry)
        return
    fd = context.open(found)
    try:
        attributes: Mapping[bytes, bytes] = attributes_of(fd, context.fidelity)
        if entry.kind is Kind.DIRECTORY:
            yield Member(entry._replace(xattrs=attributes))
        else:
            yield Member(entry._replace(xattrs=attributes or NO_XATTRS), partial(_pread, fd))
    except OSError as error:
        raise file_error(error, f"read {shown(os.fsencode(found.path))}") from error
    finally:
        os.close(fd)


def _pread(fd: int, offset: int, size: int) -> bytes:
    return os.pread(fd, size, offset)


def _read_bytes(content: bytes, offset: int, size: int) -> bytes:
    return content[offset : offset + size]


def _join(directory: bytes, name: bytes) -> bytes:
    return directory + b"/" + name if directory and name else directory or name
