"""The table of contents of an archive file, for random access: which plain file lies where.

What ought to be a plain file and is a link, a FIFO or a device is refused by its name (CVE-2026-48749,
CVE-2025-11395). Nothing is ever extracted. Threads may read side by side: all reads are by position.
"""

import posixpath
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from layerstore.content import Readable
from layerstore.dataclass import dataclass
from layerstore.errors import InvalidArchive, InvalidLayer, LimitExceeded
from layerstore.layer.entry import Kind
from layerstore.layer.source import TarFile, read_at
from layerstore.layer.tar import read_entries

MAX_MEMBERS = 200_000
"""Members of one archive: thousands of images of a hundred layers each."""
MAX_LINKS = 8
"""Links between layers that are followed one after another; docker's old archives have one."""
_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Member:
    """One entry of the archive: `size` bytes at `offset` where it is a plain file."""

    name: str
    kind: Kind
    offset: int
    size: int
    link: str


class Members:
    """The members of the archive that is open, and stays open, as `fd`."""

    def __init__(self, fd: int, table: Mapping[str, Member], repeated: frozenset[str]) -> None:
        self._fd = fd
        self._table = table
        self._repeated = repeated

    @classmethod
    def read(cls, fd: int) -> "Members":
        """The table of the uncompressed tar `fd`. Raises `InvalidArchive`, `LimitExceeded`, `StorageError`."""
        table: dict[str, Member] = {}
        repeated = set()
        try:
            for count, entry in enumerate(read_entries(TarFile(fd)), 1):
                if count > MAX_MEMBERS:
                    raise LimitExceeded(f"the archive has more than {MAX_MEMBERS} members")
                name, link = _decoded(entry.path), _decoded(entry.link)
                if name in table:
                    repeated.add(name)
                if entry.sparse is not None:  # its bytes do not lie in one piece
                    raise InvalidArchive(f"{shown(name)} is a sparse file in the archive")
                table[name] = Member(name, entry.kind, entry.offset, entry.size, link)
        except InvalidLayer as error:
            reason = error.message.removeprefix("cannot read layer: ").removeprefix(
                "cannot read tar header: "
            )
            raise InvalidArchive(reason if table else f"it is no tar archive: {reason}") from error
        return cls(fd, table, frozenset(repeated))

    def __contains__(self, name: str) -> bool:
        return name in self._table

    def below(self, directory: str) -> Iterator[Member]:
        """Every member whose name starts with `directory` and a slash, except directories."""
        for name, member in self._table.items():
            if name.startswith(f"{directory}/") and member.kind is not Kind.DIRECTORY:
                yield member

    def plain(self, name: str) -> Member:
        """The member `name`, which must be a plain file. Raises `InvalidArchive`."""
        member = self._table.get(normalised(name))
        if member is None:
            raise InvalidArchive(f"the archive has no member {shown(name)}")
        if member.kind is not Kind.REGULAR:
            kind = member.kind.name.lower()
            raise InvalidArchive(f"{shown(name)} is a {kind} in the archive, where a plain file is wanted")
        return member

    def followed(self, name: str) -> Member:
        """The plain file `name`, or the one that it links to by relative links inside the archive.

        Raises `InvalidArchive`.
        """
        for _ in range(MAX_LINKS):
            member = self._table.get(normalised(name))
            if member is None or member.kind is not Kind.SYMLINK:
                return self.plain(name)
            target = normalised(posixpath.join(posixpath.dirname(member.name), member.link))
            if member.link.startswith("/") or target.startswith(".."):
                raise InvalidArchive(f"{shown(member.name)} links out of the archive: {shown(member.link)}")
            name = target
        raise InvalidArchive(f"{shown(name)} ends a chain of more than {MAX_LINKS} links in the archive")

    def document(self, name: str, *, limit: int) -> bytes:
        """All bytes of the plain file `name`, which must be there once. Raises `LimitExceeded` over `limit`."""
        member = self.plain(name)
        if member.name in self._repeated:
            raise InvalidArchive(f"{shown(name)} is in the archive twice")
        if member.size > limit:
            raise LimitExceeded(f"{shown(name)} has {member.size} bytes, over the limit of {limit}")
        return read_at(self._fd, member.offset, member.size)

    @contextmanager
    def opened(self, member: Member, offset: int = 0) -> Iterator[Readable]:
        """The bytes of a plain file from `offset` on."""
        yield _Range(self._fd, member.offset + offset, member.offset + member.size)


class _Range:
    """A `Readable` over part of a file, read by position."""

    def __init__(self, fd: int, start: int, end: int) -> None:
        self._fd = fd
        self._position = start
        self._end = end

    def read(self, size: int, /) -> bytes:
        data = read_at(self._fd, self._position, max(min(size, self._end - self._position), 0))
        self._position += len(data)
        return data


def normalised(name: str) -> str:
    """`name` as the table spells it: without ``./`` and doubled slashes; still climbing if it climbs."""
    return posixpath.normpath(name) if name else name


def shown(name: str) -> str:
    """`name` as messages show it: quoted and shortened."""
    return repr(name[:_SHOWN])


def _decoded(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
