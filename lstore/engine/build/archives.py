"""Archives that ADD unpacks: told by their content, decompressed in-process into a file that has no name.

tar alone, or in gzip, zstd, bzip2 or xz, as docker's ADD takes them. No program is started for it (CVE-2019-14271).
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from layerstore.content import CHUNK
from layerstore.errors import InvalidLayer, LimitExceeded
from layerstore.layer.codec import MAGIC_SIZE, MAX_LAYER_SIZE, decompressor, detect
from layerstore.layer.source import BLOCK

_BZIP2: Final = b"BZh"
_XZ: Final = b"\xfd7zXZ\0"
_CHECKSUM: Final = slice(148, 156)


@contextmanager
def opened_archive(fd: int, scratch: str) -> Iterator[int | None]:
    """A descriptor of the tar that the regular file `fd` holds, however compressed; None where it holds none.

    The decompressed tar lies in the directory `scratch` until the block ends. Raises `InvalidLayer` for a
    compressed tar that is damaged, `LimitExceeded`.
    """
    magic = os.pread(fd, MAGIC_SIZE, 0)
    is_compressed = magic.startswith((_BZIP2, _XZ)) or detect(magic) != "none"
    if not is_compressed:
        yield fd if _is_tar(os.pread(fd, BLOCK, 0)) else None
        return
    chunks = _decompressed(fd, magic)
    head = _head(chunks)
    if not _is_tar(head[:BLOCK]):
        yield None
        return
    with tempfile.TemporaryFile(dir=scratch) as file:
        file.write(head)
        size = len(head)
        for chunk in chunks:
            size += len(chunk)
            if size > MAX_LAYER_SIZE:
                raise LimitExceeded(f"cannot unpack an archive of more than {MAX_LAYER_SIZE} bytes")
            file.write(chunk)
        file.flush()
        yield file.fileno()


def _head(chunks: Iterator[bytes]) -> bytes:
    """The first block at least; nothing where what came before is no such compression after all."""
    head = b""
    try:
        while len(head) < BLOCK and (chunk := next(chunks, b"")):
            head += chunk
    except InvalidLayer:
        return b""
    return head


def _is_tar(block: bytes) -> bool:
    """Whether `block` is a header whose checksum is right. POSIX.1-2017 pax, "ustar Interchange Format"."""
    if len(block) < BLOCK or not block.strip(b"\0"):
        return False
    digits = block[_CHECKSUM].strip(b" \0")
    plain = block[:148] + b" " * 8 + block[156:]
    try:
        return int(digits, 8) == sum(plain)
    except ValueError:
        return False


def _decompressed(fd: int, magic: bytes) -> Iterator[bytes]:
    if magic.startswith((_BZIP2, _XZ)):
        yield from _by_library(fd, is_xz=magic.startswith(_XZ))
        return
    inflate = decompressor(detect(magic))
    offset = 0
    while piece := os.pread(fd, CHUNK, offset):
        offset += len(piece)
        yield from inflate.decompress(piece)
    inflate.finish()


def _by_library(fd: int, *, is_xz: bool) -> Iterator[bytes]:
    """What the file holds, in pieces of bounded size."""
    import bz2
    import lzma

    with os.fdopen(os.dup(fd), "rb") as file:
        file.seek(0)
        try:
            with lzma.LZMAFile(file) if is_xz else bz2.BZ2File(file) as stream:
                while chunk := stream.read(CHUNK):
                    yield chunk
        except (OSError, EOFError, lzma.LZMAError) as error:
            raise InvalidLayer(f"cannot unpack archive: {str(error).lower()}") from error
