"""Reading an index without mounting it: what ``ls`` and ``cat`` need, rootless.

Reads the subset of EROFS that `layerstore.layer.erofs` writes. Whatever a damaged file says, reads stay
inside it, and the error is `StoreDamaged`.
"""

import struct
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from layerstore.errors import InvalidInput, NotFound, StoreDamaged
from layerstore.layer import erofs_format as fmt
from layerstore.layer.entry import Kind
from layerstore.layer.names import PATH_MAX, shown
from layerstore.layer.tree import MAX_SYMLINKS

_PERMISSIONS: Final = 0o7777
_ROOT_NID: Final = 0


class Inode(NamedTuple):
    """One file as the index has it."""

    nid: int
    """Its number; equal for all names of one file."""
    kind: Kind
    mode: int
    """Permission bits."""
    uid: int
    gid: int
    mtime: int
    nsec: int
    size: int
    links: int
    start: int
    """First block of the content, or the device number as the kernel encodes it."""
    xattrs_size: int
    is_inline: bool

    @property
    def device(self) -> tuple[int, int]:
        """(major, minor) of a device."""
        return fmt.split_device_number(self.start)


class Extent(NamedTuple):
    """Where the content of a file lies, in one run."""

    layer: int | None
    """Number of the layer whose tar has it, lowest 0; None for the index file itself."""
    offset: int
    length: int


class IndexReader:
    """An index, given as the bytes of its file (or a memoryview of an ``mmap``)."""

    def __init__(self, data: bytes | memoryview) -> None:
        """Raises `StoreDamaged` where `data` is no index."""
        self._data = memoryview(data)
        block = self._data[fmt.SUPERBLOCK_OFFSET : fmt.SUPERBLOCK_OFFSET + fmt.SUPERBLOCK.size]
        superblock = fmt.Superblock.unpack(bytes(block))
        self._meta = superblock.meta_block * fmt.BLOCK_SIZE
        self._blocks = superblock.blocks
        self._devices: list[tuple[int, int]] = []  # first and last block but one of each
        for number in range(superblock.devices):
            slot = self._unpack(fmt.DEVICE_SLOT, fmt.DEVICE_TABLE_OFFSET + number * fmt.DEVICE_SLOT.size)
            self._devices.append((slot[2], slot[2] + slot[1]))

    @property
    def root(self) -> Inode:
        """The root directory. Raises `StoreDamaged`."""
        return self._inode(_ROOT_NID)

    def find(self, path: bytes, *, follow: bool = True) -> Inode:
        """The file at `path`, resolved inside the root as the kernel would; a last symlink only if `follow`.

        Raises `NotFound` where there is none, `InvalidInput` on a symlink loop.
        """
        above: list[Inode] = []
        inode = self.root
        pending = path.split(b"/")[::-1]
        followed = 0
        while pending:
            name = pending.pop()
            if not name or name == b".":
                continue
            if name == b"..":
                inode = above.pop() if above else inode
                continue
            child = self._child(inode, name, path)
            if child.kind is Kind.SYMLINK and (follow or any(pending)):
                followed += 1
                if followed > MAX_SYMLINKS:
                    raise InvalidInput(f"cannot reach {shown(path)}: more than {MAX_SYMLINKS} symlinks")
                target = self.target(child)
                if target.startswith(b"/"):
                    above, inode = [], self.root
                pending += target.split(b"/")[::-1]
            else:
                above.append(inode)
                inode = child
        return inode

    def children(self, directory: Inode) -> Iterator[tuple[bytes, Inode]]:
        """The (name, file) pairs in `directory`, by name in byte order, without ``.`` and ``..``.

        Raises `InvalidInput` where it is no directory, `StoreDamaged`.
        """
        for name, nid in self._entries(directory):
            if name not in (b".", b".."):
                yield name, self._inode(nid)

    def target(self, symlink: Inode) -> bytes:
        """Where `symlink` points. Raises `StoreDamaged`."""
        if symlink.size >= PATH_MAX:
            raise StoreDamaged("cannot read layer index: a symlink's target is too long")
        if symlink.is_inline:
            start = self._meta + symlink.nid * fmt.NID_SIZE + fmt.INODE.size + symlink.xattrs_size
        else:
            start = symlink.start * fmt.BLOCK_SIZE
        return self._bytes(start, symlink.size)

    def xattrs(self, inode: Inode) -> Mapping[bytes, bytes]:
        """The extended attributes, full names to raw values. Raises `StoreDamaged`."""
        found = {}
        position = self._meta + inode.nid * fmt.NID_SIZE + fmt.INODE.size
        end = position + inode.xattrs_size
        position += fmt.XATTR_HEADER_SIZE
        while position < end:
            name_size, index, value_size = self._unpack(fmt.XATTR_ENTRY, position)
            name_at = position + fmt.XATTR_ENTRY.size
            value_at = name_at + name_size
            prefix = fmt.XATTR_PREFIXES.get(index, b"")
            found[prefix + self._bytes(name_at, name_size)] = self._bytes(value_at, value_size)
            position += fmt.xattr_padded(value_at + value_size - position)
        return found

    def extent(self, file: Inode) -> Extent:
        """Where the content of the regular `file` lies. Raises `StoreDamaged` where that is nowhere."""
        if not file.size:
            return Extent(None, 0, 0)
        end = file.start + -(-file.size // fmt.BLOCK_SIZE)
        if end <= self._blocks:
            return Extent(None, file.start * fmt.BLOCK_SIZE, file.size)
        for layer, (first, last) in enumerate(self._devices):
            if first <= file.start and end <= last:
                return Extent(layer, (file.start - first) * fmt.BLOCK_SIZE, file.size)
        raise StoreDamaged("cannot read layer index: a file's content lies outside its layers")

    def _child(self, directory: Inode, name: bytes, path: bytes) -> Inode:
        if directory.kind is Kind.DIRECTORY:
            for present, nid in self._entries(directory):
                if present == name:
                    return self._inode(nid)
        raise NotFound(f"cannot find {shown(path)}: no {shown(name)} there")

    def _entries(self, directory: Inode) -> Iterator[tuple[bytes, int]]:
        if directory.kind is not Kind.DIRECTORY:
            raise InvalidInput("cannot list what is no directory")
        data = self._bytes(directory.start * fmt.BLOCK_SIZE, directory.size)
        for start in range(0, len(data), fmt.BLOCK_SIZE):
            yield from _block_entries(data[start : start + fmt.BLOCK_SIZE])

    def _inode(self, nid: int) -> Inode:
        fields = self._unpack(fmt.INODE, self._meta + nid * fmt.NID_SIZE)
        layout, xattrs, mode, _, size, start, _, uid, gid, mtime, nsec, links = fields
        kind = fmt.KIND_OF_MODE.get(mode & ~_PERMISSIONS)
        if kind is None or layout not in (fmt.FLAT_PLAIN, fmt.FLAT_INLINE):
            raise StoreDamaged(f"cannot read layer index: inode {nid} is none")
        return Inode(
            nid,
            kind,
            mode & _PERMISSIONS,
            uid,
            gid,
            mtime,
            nsec,
            size,
            links,
            start,
            fmt.xattr_area(xattrs),
            layout == fmt.FLAT_INLINE,
        )

    def _bytes(self, start: int, size: int) -> bytes:
        if start + size > len(self._data):
            raise StoreDamaged("cannot read layer index: it is truncated")
        return bytes(self._data[start : start + size])

    def _unpack(self, layout: struct.Struct, start: int) -> tuple[int, ...]:
        return layout.unpack(self._bytes(start, layout.size))


def _block_entries(block: bytes) -> Iterator[tuple[bytes, int]]:
    """The (name, nid) pairs of one directory block: each name ends where the next one starts."""
    try:
        first = fmt.DIRENT.unpack_from(block)[1]
        records = list(fmt.DIRENT.iter_unpack(block[:first]))
    except struct.error as error:
        raise StoreDamaged("cannot read layer index: a directory is damaged") from error
    ends = [record[1] for record in records[1:]] + [len(block)]
    for (nid, start, _, _), end in zip(records, ends, strict=True):
        yield block[start:end].rstrip(b"\0"), nid
