"""The tar writer: changes in, the layer's bytes and its diff_id out, in one pass. Inverse of reading a layer.

Deterministic: the same members give the same bytes. Nothing of the host gets in: no names of users, no
times but the files' own, which `clamp` (SOURCE_DATE_EPOCH) bounds.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

from layerstore.dataclass import dataclass
from layerstore.errors import Conflict
from layerstore.layer.changeset import OPAQUE_NAME, WHITEOUT_PREFIX
from layerstore.layer.entry import Entry, Kind
from layerstore.layer.names import shown
from layerstore.layer.source import BLOCK, padded
from layerstore.layer.tar_encode import encode_header
from layerstore.oci.digest import Digest

_CHUNK: Final = 1 << 20
_END: Final = bytes(2 * BLOCK)
_ROOT: Final = b"./"

Read = Callable[[int, int], bytes]
"""(offset, size) to so many bytes of a content; fewer only at its end."""


class Member(NamedTuple):
    """One change, and where its content is read: from `Entry.offset` on. Only regular files have one."""

    entry: Entry
    read: Read | None = None


@dataclass(frozen=True, slots=True)
class Packed:
    """What was written."""

    diff_id: Digest
    size: int
    """Bytes."""


def pack(members: Iterable[Member], write: Callable[[bytes], object], *, clamp: int | None = None) -> Packed:
    """Write a layer's uncompressed tar of `members`, in their order, by calls of `write`.

    Times later than `clamp`, seconds since the epoch, become that. Sparse files are stored whole.

    Raises `LimitExceeded` for attributes that no reader takes, `Conflict` for content shorter than its
    entry says, and what reading and `write` raise.
    """
    digest = hashlib.sha256()
    size = 0
    for piece in pieces(members, clamp):
        digest.update(piece)
        write(piece)
        size += len(piece)
    return Packed(Digest("sha256", digest.hexdigest()), size)


def pieces(members: Iterable[Member], clamp: int | None = None) -> Iterator[bytes]:
    """The bytes that `pack` writes, in order, for whoever digests them on the way. Raises as it does."""
    for entry, read in members:
        yield encode_header(*_stored(_clamped(entry, clamp)))
        if entry.kind is Kind.REGULAR and entry.size and read is not None:
            yield from _content(entry, read)
            yield bytes(padded(entry.size) - entry.size)
    yield _END


def _stored(entry: Entry) -> tuple[Entry, bytes]:
    """`entry` as tar has it, and its name: marks become the files that stand for them."""
    path = entry.path
    if entry.kind is Kind.WHITEOUT:
        parent, slash, name = path.rpartition(b"/")
        return entry._replace(kind=Kind.REGULAR), parent + slash + WHITEOUT_PREFIX + name
    if entry.kind is Kind.OPAQUE:
        return entry._replace(kind=Kind.REGULAR), (path + b"/" if path else b"") + OPAQUE_NAME
    if entry.kind is Kind.DIRECTORY:
        return entry, path + b"/" if path else _ROOT
    return entry, path


def _clamped(entry: Entry, clamp: int | None) -> Entry:
    if clamp is None or entry.mtime < clamp:
        return entry
    return entry._replace(mtime=clamp, nsec=0)


def _content(entry: Entry, read: Read) -> Iterator[bytes]:
    """The bytes of a file as its readers see them, holes as zeros."""
    position, offset = 0, entry.offset
    for start, length in entry.sparse if entry.sparse is not None else ((0, entry.size),):
        yield from _zeros(start - position)
        for piece_offset in range(offset, offset + length, _CHUNK):
            yield _exactly(entry, read, piece_offset, min(_CHUNK, offset + length - piece_offset))
        position, offset = start + length, offset + length
    yield from _zeros(entry.size - position)


def _exactly(entry: Entry, read: Read, offset: int, size: int) -> bytes:
    data = read(offset, size)
    while len(data) < size:
        more = read(offset + len(data), size - len(data))
        if not more:
            raise Conflict(f"cannot pack {shown(entry.path)}: it became shorter meanwhile")
        data += more
    return data


def _zeros(size: int) -> Iterator[bytes]:
    for start in range(0, size, _CHUNK):
        yield bytes(min(_CHUNK, size - start))
