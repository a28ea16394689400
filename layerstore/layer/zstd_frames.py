"""Where a zstd stream may be cut: frames and blocks, by their headers. RFC 8878, section 3.1.

python-zstandard offers no way to bound what one call returns, nor to see whether a stream of several
frames ended where a frame ends. Both follow from the block headers: a block gives at most 128 KiB.
"""

from collections.abc import Generator, Iterator
from typing import Final

from layerstore.errors import InvalidLayer

MAX_BLOCK_OUTPUT: Final = 128 << 10
"""Block_Maximum_Size, section 3.1.1.2.4."""

_MAGIC: Final = 0xFD2FB528
_SKIPPABLE: Final = 0x184D2A5
_MAGIC_SIZE: Final = 4
_SKIPPABLE_SIZE: Final = 4
_BLOCK_HEADER_SIZE: Final = 3
_CHECKSUM_SIZE: Final = 4
_SINGLE_SEGMENT: Final = 0x20
_HAS_CHECKSUM: Final = 0x04
_DICTIONARY_SIZES: Final = (0, 1, 2, 4)
_CONTENT_SIZES: Final = (0, 2, 4, 8)
_RLE_BLOCK: Final = 1
_RESERVED_BLOCK: Final = 3


class FrameCutter:
    """Cuts a stream, fed chunk by chunk, into pieces that start at most `blocks` blocks each."""

    def __init__(self, blocks: int) -> None:
        self._most = blocks
        self._count = 0
        self._header = bytearray()
        self.is_between_frames = True
        """Whether the stream may end here."""
        self._parser = self._frames()
        self._want, self._keep = next(self._parser)

    def cut(self, data: bytes) -> Iterator[memoryview]:
        """`data` in pieces. Raises `InvalidLayer` for what is no zstd frame."""
        view = memoryview(data)
        start = position = 0
        while position < len(view):
            part = view[position : position + self._want]
            self.is_between_frames = False
            if self._keep:
                self._header += part
            position += len(part)
            self._want -= len(part)
            while not self._want:
                self._want, self._keep = self._parser.send(bytes(self._header))
                self._header.clear()
            if self._count >= self._most:
                yield view[start:position]
                start, self._count = position, 0
        if start < len(view):
            yield view[start:]

    def _frames(self) -> Generator[tuple[int, bool], bytes, None]:
        """Yields how many bytes come next and whether it needs to see them; is sent those."""
        while True:
            self.is_between_frames = True
            magic = int.from_bytes((yield _MAGIC_SIZE, True), "little")
            if magic >> 4 == _SKIPPABLE:
                yield int.from_bytes((yield _SKIPPABLE_SIZE, True), "little"), False
            elif magic == _MAGIC:
                yield from self._frame()
            else:
                raise InvalidLayer("cannot decompress layer: no zstd frame where one must start")

    def _frame(self) -> Generator[tuple[int, bool], bytes, None]:
        descriptor = (yield 1, True)[0]
        content = _CONTENT_SIZES[descriptor >> 6]
        # A single segment has no window descriptor, and a content size of at least one byte.
        rest = (content or 1) if descriptor & _SINGLE_SEGMENT else content + 1
        yield rest + _DICTIONARY_SIZES[descriptor & 3], False
        is_last = False
        while not is_last:
            header = int.from_bytes((yield _BLOCK_HEADER_SIZE, True), "little")
            is_last = bool(header & 1)
            kind, size = (header >> 1) & 3, header >> 3
            if kind == _RESERVED_BLOCK:
                raise InvalidLayer("cannot decompress layer: reserved zstd block type")
            self._count += 1
            yield (1 if kind == _RLE_BLOCK else size), False
        if descriptor & _HAS_CHECKSUM:
            yield _CHECKSUM_SIZE, False
