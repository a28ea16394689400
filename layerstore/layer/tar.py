"""The tar reader: headers in, `Entry` values out; file data is skipped, never read.

Reads by position, so that it follows a tar still being written as well as a finished one. Understands
v7, ustar, GNU and PAX. Where the formats leave a choice it takes Go's ``archive/tar``, the reader of
every other container tool: links, devices and directories have no data whatever their size field says;
two zero blocks end the archive, and so does the end of the file.

What entries mean to a layer (whiteouts) is `layerstore.layer.changeset`'s.
"""

from collections.abc import Iterator
from typing import Final

from layerstore.errors import InvalidLayer, LimitExceeded, UnsupportedContent
from layerstore.layer.entry import MAX_ENTRIES, NO_XATTRS, Entry, Kind, Regions
from layerstore.layer.names import PATH_MAX, link_target, relative_path, shown
from layerstore.layer.pax import (
    MAX_PAX_SIZE,
    Records,
    decimal,
    extended_attributes,
    parse_records,
    timestamp,
)
from layerstore.layer.source import BLOCK, Source, padded
from layerstore.layer.sparse import MAX_FILE_SIZE, is_sparse, read_old, read_pax
from layerstore.layer.tar_header import TYPE_AT, Header, extension_size, parse_header

_ZEROS: Final = bytes(BLOCK)
_KINDS: Final = {
    b"\0": Kind.REGULAR,
    b"0": Kind.REGULAR,
    b"1": Kind.HARDLINK,
    b"2": Kind.SYMLINK,
    b"3": Kind.CHARACTER,
    b"4": Kind.BLOCK,
    b"5": Kind.DIRECTORY,
    b"6": Kind.FIFO,
    b"7": Kind.REGULAR,  # "contiguous": POSIX lets readers take it for a regular file
    b"S": Kind.REGULAR,
    b"D": Kind.DIRECTORY,  # GNU incremental: its data is a listing
}
_REGULAR: Final = Kind.REGULAR
_HARDLINK: Final = Kind.HARDLINK
_SYMLINK: Final = Kind.SYMLINK
_DUMPDIR: Final = b"D"
_OLD_SPARSE: Final = b"S"
_LOCAL: Final = b"xX"
_GLOBAL: Final = b"g"
_LONG_NAME: Final = b"L"
_LONG_LINK: Final = b"K"
_LABEL: Final = b"V"
_LONG: Final = _LONG_NAME + _LONG_LINK
_EXTENSIONS: Final = _LOCAL + _GLOBAL + _LONG + _LABEL
_MAX_ID: Final = (1 << 32) - 2
"""The kernel's (uid_t)-1 means "no id"."""
_MAX_DEVICE_MAJOR: Final = (1 << 12) - 1
_MAX_DEVICE_MINOR: Final = (1 << 20) - 1
_MAX_SECONDS: Final = 1 << 62
_NUMBERS: Final = frozenset({b"size", b"uid", b"gid", b"mtime"})
_GLOBAL_KEYS: Final = _NUMBERS | {b"path", b"linkpath"}


def read_entries(source: Source) -> Iterator[Entry]:
    """The entries of the tar `source`, in its order.

    Raises `InvalidLayer` for a malformed archive, `LimitExceeded` past a named bound,
    `UnsupportedContent` for multi-volume archives and unknown types, `StorageError` where reading fails.
    """
    reader = _Reader(source)
    for count, entry in enumerate(reader, 1):
        if count > MAX_ENTRIES:
            raise LimitExceeded(f"cannot read layer: more than {MAX_ENTRIES} entries")
        yield entry


class _Reader:
    """Where the reader is, and what extended headers said about the entry to come."""

    __slots__ = ("_end", "_global", "_link", "_name", "_offset", "_records", "_source")

    def __init__(self, source: Source) -> None:
        self._source = source
        self._offset = 0
        self._end = 0  # of the last file's data
        self._global: Records = {}
        self._forget()

    def _forget(self) -> None:
        self._records: Records | None = None
        self._name: bytes | None = None
        self._link: bytes | None = None

    def __iter__(self) -> Iterator[Entry]:
        pread = self._source.pread
        while len(block := pread(self._offset, BLOCK)) == BLOCK:
            if not block[0] and block == _ZEROS:
                self._check_end_marker()
                return
            self._offset += BLOCK
            if block[TYPE_AT] in _EXTENSIONS:
                self._extend(block[TYPE_AT], extension_size(block))
                continue
            header = parse_header(block)
            if self._records is None and self._name is None and self._link is None and not self._global:
                yield self._entry(header, block, header.name, header.link)
            else:
                yield self._extended_entry(header, block)
        self._check_end(block)

    def _check_end_marker(self) -> None:
        second = self._source.pread(self._offset + BLOCK, BLOCK)
        if second and second != _ZEROS[: len(second)]:
            raise InvalidLayer("cannot read layer: a lone zero block among the entries")
        self._check_nothing_pending()

    def _check_end(self, rest: bytes) -> None:
        """Raises unless the tar ends between entries; padding and end marker may be missing, as umoci leaves them."""
        if rest or self._end > self._source.length():
            raise InvalidLayer("cannot read layer: the tar ends inside an entry")
        self._check_nothing_pending()

    def _check_nothing_pending(self) -> None:
        if not (self._records is None and self._name is None and self._link is None):
            raise InvalidLayer("cannot read layer: the tar ends between an extended header and its entry")

    def _extend(self, kind: int, size: int) -> None:
        """Take in an extended header: it holds for the next entry, or (``g``) for all to come."""
        bound = PATH_MAX if kind in _LONG else MAX_PAX_SIZE
        if not 0 <= size <= bound:
            raise LimitExceeded(f"cannot read layer: extended header of {size} bytes, at most {bound}")
        data = self._source.pread(self._offset, size)
        if len(data) < size:
            raise InvalidLayer("cannot read layer: the tar ends inside an extended header")
        self._offset += padded(size)
        if kind in _LOCAL:
            self._records = parse_records(data)
        elif kind in _GLOBAL:
            # The others describe one file by nature; kept, they would cost every entry to come.
            found = parse_records(data).items()
            self._global.update((key, value) for key, value in found if key in _GLOBAL_KEYS)
        elif kind in _LONG_NAME:
            self._name = data.partition(b"\0")[0]
        elif kind in _LONG_LINK:
            self._link = data.partition(b"\0")[0]

    def _extended_entry(self, header: Header, block: bytes) -> Entry:
        """The entry of `header` as the extended headers before it correct it."""
        name = header.name if self._name is None else self._name
        link = header.link if self._link is None else self._link
        records = self._records or {}
        if self._global:
            records = {**self._global, **records}
        self._forget()
        if b"" in records.values():
            # POSIX: an empty value takes an earlier one back; only an attribute's may really be empty.
            records = {key: value for key, value in records.items() if value or b".xattr." in key}
        name = records.get(b"GNU.sparse.name") or records.get(b"path") or name
        link = records.get(b"linkpath") or link
        if not records.keys().isdisjoint(_NUMBERS):
            header = _corrected(header, records)
        entry = self._entry(header, block, name, link, records)
        xattrs = extended_attributes(records)
        return entry._replace(xattrs=xattrs) if xattrs else entry

    def _entry(
        self, header: Header, block: bytes, name: bytes, link: bytes, records: Records | None = None
    ) -> Entry:
        """The entry of `header`; moves on past its data."""
        _, mode, uid, gid, size, mtime, flag, _, major, minor, nsec = header
        kind = _KINDS.get(flag)
        if kind is None:
            raise UnsupportedContent(f"cannot read {shown(name)}: tar entry type {flag!r}")
        path = relative_path(name)
        if not (0 <= size <= MAX_FILE_SIZE and 0 <= uid <= _MAX_ID and 0 <= gid <= _MAX_ID):
            raise InvalidLayer(f"cannot read {shown(path)}: size {size}, owner {uid}:{gid}")
        if not (-_MAX_SECONDS < mtime < _MAX_SECONDS):
            raise InvalidLayer(f"cannot read {shown(path)}: mtime {mtime}")
        if kind is _REGULAR and not name.endswith(b"/"):
            data, regions = self._offset, None
            if flag == _OLD_SPARSE or (records is not None and is_sparse(records)):
                size, data, regions = self._sparse(flag, block, size, records or {})
            else:
                self._end = data + size
                self._offset = data + padded(size)
            return Entry(path, kind, mode, uid, gid, mtime, nsec, size, data, b"", 0, 0, NO_XATTRS, regions)
        if kind is _REGULAR:  # a directory, before ustar had a type for it
            kind = Kind.DIRECTORY
            if size:
                raise InvalidLayer(f"cannot read {shown(path)}: a directory with data")
        if flag == _DUMPDIR:
            self._end = self._offset + size
            self._offset += padded(size)
        target = _target(kind, path, link)
        if not (0 <= major <= _MAX_DEVICE_MAJOR and 0 <= minor <= _MAX_DEVICE_MINOR):
            raise InvalidLayer(f"cannot read {shown(path)}: device {major}:{minor}")
        return Entry(path, kind, mode, uid, gid, mtime, nsec, 0, 0, target, major, minor)

    def _sparse(self, flag: bytes, block: bytes, stored: int, records: Records) -> tuple[int, int, Regions]:
        """Size, data offset and regions of the sparse file at hand; moves on past its data."""
        if flag == _OLD_SPARSE:
            found = read_old(self._source, block, self._offset, stored)
        else:
            found = read_pax(self._source, records, self._offset, stored)
        self._end = found.offset + found.stored
        self._offset = found.offset + padded(found.stored)
        return found.size, found.offset, found.regions


def _target(kind: Kind, path: bytes, link: bytes) -> bytes:
    """Where the link `path` leads, whose header says `link`; nowhere for what is no link."""
    if kind is _HARDLINK:
        return relative_path(link)
    return link_target(link, path) if kind is _SYMLINK else b""


def _corrected(header: Header, records: Records) -> Header:
    """`header` with the numbers that PAX `records` give more exactly."""
    name, mode, uid, gid, size, mtime, kind, link, major, minor, nsec = header
    if b"size" in records:
        size = decimal(records[b"size"])
    if b"uid" in records:
        uid = decimal(records[b"uid"])
    if b"gid" in records:
        gid = decimal(records[b"gid"])
    if b"mtime" in records:
        mtime, nsec = timestamp(records[b"mtime"])
    return Header(name, mode, uid, gid, size, mtime, kind, link, major, minor, nsec)
