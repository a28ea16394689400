"""The index writer: a `Tree` to an EROFS image whose files' data stays in the layers' tars.

Layout, in 512-byte blocks: superblock and device table; all inodes, breadth first, the root first; the
directories; long symlink targets; what is copied of data: sparse files, and the file that an unpadded tar
ends in. Deterministic: the same tree, tars and uuid give the same bytes.

``fsck.erofs`` of erofs-utils 1.8 has nothing to say to it; 1.5, Debian 12's, knows no blocks of 512 bytes.
"""

import os
from collections.abc import Sequence
from typing import Final, NamedTuple

from layerstore.errors import LimitExceeded, StoreDamaged, storage_error
from layerstore.layer import erofs_format as fmt
from layerstore.layer.entry import Entry, Kind
from layerstore.layer.record import RECORD, Held, to_record
from layerstore.layer.source import BLOCK, Source, padded
from layerstore.layer.tree import Node, Tree

_WRITE_SIZE: Final = 1 << 20
_COPY_SIZE: Final = 1 << 20
_DIRECTORY_LINKS: Final = 2
_UUID_SIZE: Final = 16
_REGULAR: Final = Kind.REGULAR
_DIRECTORY: Final = Kind.DIRECTORY
_SYMLINK: Final = Kind.SYMLINK
_DEVICES: Final = frozenset({Kind.CHARACTER, Kind.BLOCK})


class Device(NamedTuple):
    """One layer's tar as the index's data device; its place in the sequence is the layer's number."""

    source: Source
    size: int
    """Bytes."""

    @property
    def blocks(self) -> int:
        """Whole blocks; a ragged end holds no file's data."""
        return self.size // BLOCK


def write_index(tree: Tree, devices: Sequence[Device], fd: int, uuid: bytes) -> int:
    """Write the index of `tree` to the empty file `fd`; its size in bytes, a multiple of 512, comes back.

    Not durable: syncing is the caller's. Raises `LimitExceeded` where 2^32 blocks do not reach,
    `StoreDamaged` for an entry that lies outside its tar, `StorageError`.
    """
    if len(devices) > fmt.MAX_DEVICES:
        raise LimitExceeded(f"cannot index {len(devices)} layers, at most {fmt.MAX_DEVICES}")
    return _IndexWriter(tree, devices, fd).write(uuid)


class _Region:
    """Buffered writing of one stretch of the file from `offset` on."""

    def __init__(self, fd: int, offset: int) -> None:
        self._fd = fd
        self._buffer = bytearray()
        self._flushed = offset

    @property
    def position(self) -> int:
        return self._flushed + len(self._buffer)

    def write(self, data: bytes) -> None:
        self._buffer += data
        if len(self._buffer) >= _WRITE_SIZE:
            self.flush()

    def seek(self, position: int) -> None:
        """Move forward; short gaps are zeros, long ones holes."""
        gap = position - self.position
        if gap < _WRITE_SIZE:
            self.write(bytes(gap))
        else:
            self.flush()
            self._flushed = position

    def flush(self) -> None:
        write_at(self._fd, self._flushed, self._buffer)
        self._flushed += len(self._buffer)
        self._buffer.clear()


class _IndexWriter:
    def __init__(self, tree: Tree, devices: Sequence[Device], fd: int) -> None:
        self._root = tree.root
        self._devices = devices
        self._fd = fd
        self._nodes: list[Node] = []
        self._directories: list[tuple[Node, Node]] = []  # with their parents
        self._starts: dict[Node, tuple[int, int]] = {}  # start block and size of what is not in a tar
        self._meta = padded(fmt.DEVICE_TABLE_OFFSET + len(devices) * fmt.DEVICE_SLOT.size)

    def write(self, uuid: bytes) -> int:
        end = self._write_directories(self._place_inodes())
        end = self._place_outside(end)
        addresses = self._addresses(end // BLOCK)
        self._write_outside()
        self._write_inodes(addresses)
        superblock = fmt.Superblock(
            len(self._nodes), end // BLOCK, self._meta // BLOCK, uuid[:_UUID_SIZE], len(self._devices)
        )
        slots = [
            fmt.pack_device(b"", device.blocks, address)
            for device, address in zip(self._devices, addresses, strict=True)
        ]
        write_at(self._fd, fmt.SUPERBLOCK_OFFSET, superblock.pack() + b"".join(slots))
        try:
            os.ftruncate(self._fd, end)
        except OSError as error:
            raise storage_error(error, "write a layer's index") from error
        return end

    def _place_inodes(self) -> int:
        """Give every node its nid and link count, breadth first; the end of the inodes, in bytes."""
        root, nodes, directories = self._root, self._nodes, self._directories
        root.nid, root.links = 0, _DIRECTORY_LINKS
        nodes.append(root)
        directories.append((root, root))
        position = _inode_size(root.held)
        for directory, _ in directories:
            children = directory.children or {}
            for name in sorted(children):
                node = children[name]
                if node.nid >= 0:
                    node.links += 1
                    continue
                held = node.held
                size = _inode_size(held)
                if position % BLOCK + size > BLOCK and node.kind is _SYMLINK:
                    position = padded(position)  # an inline target that crosses a block reads back empty
                node.nid = position // fmt.NID_SIZE
                position += size
                nodes.append(node)
                if node.children is None:
                    node.links = 1
                else:
                    node.links = _DIRECTORY_LINKS
                    directory.links += 1
                    directories.append((node, directory))
        return self._meta + padded(position)

    def _write_directories(self, start: int) -> int:
        """Write all directories from `start` on; where they end."""
        region = _Region(self._fd, start)
        for directory, parent in self._directories:
            entries = [(name, node.nid, node.kind) for name, node in (directory.children or {}).items()]
            entries.append((b".", directory.nid, _DIRECTORY))
            entries.append((b"..", parent.nid, _DIRECTORY))
            entries.sort()
            begin = region.position
            size = _write_directory(region, entries)
            self._starts[directory] = begin // BLOCK, size
            region.seek(padded(region.position))
        region.flush()
        return region.position

    def _place_outside(self, end: int) -> int:
        """Make room behind `end` for long symlink targets, sparse files and ragged ends; where that ends."""
        ragged = {layer for layer, device in enumerate(self._devices) if device.size % BLOCK}
        for node in self._nodes:
            if isinstance(node.held, bytes) and node.layer not in ragged:
                continue
            entry = node.entry
            size = 0
            if entry.sparse is not None or (node.layer in ragged and self._is_ragged(node)):
                size = entry.size
            elif entry.kind is _SYMLINK and not _is_inline(entry):
                size = len(entry.link)
            if size:
                self._starts[node] = end // BLOCK, size
                end += padded(size)
        return end

    def _is_ragged(self, node: Node) -> bool:
        """Whether it is the file that a tar without padding ends in: its last block is no block of the device."""
        entry = node.entry
        if entry.kind is not _REGULAR:
            return False
        device = self._devices[node.layer]
        return device.blocks * BLOCK < entry.offset + entry.size <= device.size

    def _addresses(self, blocks: int) -> list[int]:
        """Where each tar stands in the index's block address space: behind it, one after the other."""
        addresses = []
        for device in self._devices:
            addresses.append(blocks)
            blocks += device.blocks
        if blocks >= fmt.MAX_BLOCKS:
            raise LimitExceeded(f"cannot index layers: {blocks} blocks, fewer than {fmt.MAX_BLOCKS} fit")
        return addresses

    def _write_outside(self) -> None:
        for node, (start, _) in self._starts.items():
            if node.children is not None:
                continue
            entry = node.entry
            if entry.kind is Kind.SYMLINK:
                write_at(self._fd, start * BLOCK, entry.link)
            elif entry.kind is Kind.REGULAR:
                self._copy_data(entry, self._devices[node.layer].source, start * BLOCK)

    def _copy_data(self, entry: Entry, source: Source, start: int) -> None:
        """Copy what `entry` has of data to where it belongs; the rest of the file stays a hole."""
        packed = entry.offset
        for offset, length in ((0, entry.size),) if entry.sparse is None else entry.sparse:
            done = 0
            while done < length:
                data = source.pread(packed, min(_COPY_SIZE, length - done))
                if not data:
                    raise StoreDamaged("cannot index layer: its tar ends inside a file")
                write_at(self._fd, start + offset + done, data)
                done += len(data)
                packed += len(data)

    def _write_inodes(self, addresses: Sequence[int]) -> None:
        region = _Region(self._fd, self._meta)
        pack, modes, sizes = fmt.INODE.pack, fmt.FILE_MODE, [device.blocks for device in self._devices]
        starts, end = self._starts, self._meta
        for number, node in enumerate(self._nodes, 1):
            held = node.held
            record = held if isinstance(held, bytes) else to_record(held)
            kind, mode, uid, gid, mtime, nsec, size, offset, major, minor = RECORD.unpack(record)
            start = self._meta + node.nid * fmt.NID_SIZE
            if start != end:
                region.seek(start)
            tail = b"" if held is record else fmt.encode_xattrs(node.entry.xattrs)
            attributes = fmt.xattr_count(len(tail))
            layout, where = fmt.FLAT_PLAIN, 0
            if node in starts:
                where, size = starts[node]
            elif kind == _REGULAR:
                if size:
                    first = offset // BLOCK
                    if first + padded(size) // BLOCK > sizes[node.layer]:
                        raise StoreDamaged("cannot index layer: an entry's data lies outside its tar")
                    where = addresses[node.layer] + first
            elif kind == _SYMLINK:
                target = node.entry.link
                layout, size, tail = fmt.FLAT_INLINE, len(target), tail + target
            elif kind in _DEVICES:
                where = fmt.device_number(major, minor)
            inode = pack(
                layout,
                attributes,
                modes[kind] | mode,
                0,
                size,
                where,
                number,
                uid,
                gid,
                mtime,
                nsec,
                node.links,
            )
            data = inode + tail
            region.write(data)
            end = start + len(data)
        region.seek(padded(region.position))
        region.flush()


def _inode_size(held: Held) -> int:
    """Bytes of the inode with its attributes and inline target, in whole nids."""
    size = fmt.INODE.size
    if isinstance(held, bytes):
        return size
    if held.xattrs:
        size += len(fmt.encode_xattrs(held.xattrs))
    if held.kind is _SYMLINK and size + len(held.link) <= BLOCK:
        size += len(held.link)
    return -(-size // fmt.NID_SIZE) * fmt.NID_SIZE


def _is_inline(entry: Entry) -> bool:
    """Whether a symlink's target fits behind its inode, all in one block."""
    return fmt.INODE.size + len(fmt.encode_xattrs(entry.xattrs)) + len(entry.link) <= BLOCK


def _write_directory(region: _Region, entries: Sequence[tuple[bytes, int, Kind]]) -> int:
    """Write sorted `entries` as blocks, names behind the records of each; the directory's i_size."""
    begin = region.position
    first, used = 0, 0
    for number, (name, _, _) in enumerate(entries):
        need = fmt.DIRENT.size + len(name)
        if used + need > BLOCK:
            _write_directory_block(region, entries[first:number])
            region.seek(padded(region.position))
            first, used = number, 0
        used += need
    _write_directory_block(region, entries[first:])
    return region.position - begin


def _write_directory_block(region: _Region, entries: Sequence[tuple[bytes, int, Kind]]) -> None:
    name_offset = fmt.DIRENT.size * len(entries)
    pack = fmt.DIRENT.pack
    records = []
    for name, nid, kind in entries:
        records.append(pack(nid, name_offset, kind, 0))
        name_offset += len(name)
    region.write(b"".join(records) + b"".join([name for name, _, _ in entries]))


def write_at(fd: int, offset: int, data: bytes | bytearray) -> None:
    """Write all of `data` to `fd` at `offset`. Raises `StorageError`."""
    rest = memoryview(data)
    try:
        while rest:
            written = os.pwrite(fd, rest, offset)
            rest, offset = rest[written:], offset + written
    except OSError as error:
        raise storage_error(error, "write a layer's index") from error
    finally:
        rest.release()
