"""Compression of layers: told by magic number, undone and done in streams of bounded chunks.

gzip by ISA-L (RFC 1952), zstd by libzstd (RFC 8878), both without the interpreter lock while they work;
their modules are imported by the first layer that needs them. xz and bzip2 are no layer media types of
OCI and are refused.
"""

import zlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final, Protocol

from layerstore.errors import InvalidLayer, LimitExceeded, UnsupportedContent
from layerstore.layer.zstd_frames import MAX_BLOCK_OUTPUT, FrameCutter
from layerstore.oci.mediatype import Compression

MAGIC_SIZE: Final = 6
"""Bytes that `detect` needs to tell every kind."""
MAX_CHUNK: Final = 1 << 20
"""A decompressor's chunks have at most this many bytes, however much a little input expands to."""
MAX_LAYER_SIZE: Final = 1 << 40
"""Bytes of one uncompressed layer, 1 TiB: half of what an index can address."""

_GZIP_MAGIC: Final = b"\x1f\x8b"
_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_ZSTD_SKIPPABLE: Final = b"\x2a\x4d\x18"
_REFUSED: Final = {b"\xfd7zXZ\0": "xz", b"BZh": "bzip2"}
_FIRST_STEP: Final = 4 << 10
_MAX_ZSTD_WINDOW: Final = 128 << 20
"""zstd's own default bound: frames that ask a decoder for more memory are refused."""
_ZSTD_LEVEL: Final = 3
_GZIP_LEVEL: Final = 2
_GZIP_INPUT: Final = 256 << 10
_GZIP_WINDOW_BITS: Final = 15
_GZIP_HEADER: Final = 16
"""Added to the window bits: zlib's way to ask for a gzip header, without name and time."""


class Decompressor(Protocol):
    """One compressed stream, fed in chunks of any size."""

    def decompress(self, data: bytes) -> Iterator[bytes]:
        """What `data` adds, in chunks of at most `MAX_CHUNK`; the caller must exhaust the iterator.

        Raises `InvalidLayer` for what cannot be decompressed.
        """
        ...

    def finish(self) -> None:
        """Raises `InvalidLayer` unless the stream has come to its end."""
        ...


class Compressor(Protocol):
    """One stream being compressed; equal input gives equal output, however it is cut into chunks."""

    def compress(self, data: bytes) -> bytes:
        """What is ready after `data`; often empty."""
        ...

    def flush(self) -> bytes:
        """The rest of the stream. Nothing can follow."""
        ...


def detect(prefix: bytes) -> Compression:
    """How the stream that starts with `prefix` is compressed.

    `prefix` is `MAGIC_SIZE` bytes, or fewer where the stream is that short. Raises `UnsupportedContent`
    for xz and bzip2.
    """
    for magic, name in _REFUSED.items():
        if prefix.startswith(magic):
            raise UnsupportedContent(
                f"cannot read layer: compressed with {name}, only gzip and zstd are known"
            )
    if prefix.startswith(_GZIP_MAGIC):
        return "gzip"
    if prefix.startswith(_ZSTD_MAGIC) or (prefix[1:4] == _ZSTD_SKIPPABLE and prefix[0] >> 4 == 5):
        return "zstd"
    return "none"


def decompressor(compression: Compression, *, limit: int = MAX_LAYER_SIZE) -> Decompressor:
    """A decompressor of that kind. Past `limit` bytes of output it raises `LimitExceeded`."""
    makers: dict[Compression, Callable[[], Decompressor]]
    makers = {"gzip": _Gunzip, "zstd": _Unzstd, "none": _Identity}
    return _Limited(makers[compression](), limit)


LEVELS: Final[dict[Compression, tuple[int, int]]] = {"gzip": (0, 9), "zstd": (1, 22)}
"""The lowest and the highest level that can be asked for."""


def compressor(compression: Compression, level: int | None = None) -> Compressor:
    """A deterministic compressor of that kind: gzip by ISA-L, by zlib where a `level`, within `LEVELS`, is given."""
    if compression == "none":
        return _Verbatim()
    if compression == "zstd":
        import zstandard  # noqa: PLC0415 - only who writes zstd pays for it

        chosen = _ZSTD_LEVEL if level is None else level
        return zstandard.ZstdCompressor(level=chosen, write_checksum=True).compressobj()
    if level is not None:
        return zlib.compressobj(level, wbits=_GZIP_WINDOW_BITS + _GZIP_HEADER)
    return _Gzip()


def form_name(compression: Compression, level: int | None = None) -> str:
    """What tells the bytes that `compressor` makes of something: the library with its version, and the level."""
    if compression == "zstd":
        import zstandard  # noqa: PLC0415 - only who writes zstd pays for it

        version = ".".join(map(str, zstandard.ZSTD_VERSION))
        return f"zstd-{version}-{_ZSTD_LEVEL if level is None else level}"
    if compression == "none":
        return "none"
    if level is not None:
        return f"gzip-zlib-{zlib.ZLIB_RUNTIME_VERSION}-{level}"
    import isal  # noqa: PLC0415 - only who writes gzip pays for it

    return f"gzip-isal-{isal.ISAL_VERSION}-{_GZIP_LEVEL}"


class _Limited:
    """Counts what `inner` gives."""

    def __init__(self, inner: Decompressor, limit: int) -> None:
        self._inner = inner
        self._limit = limit
        self._left = limit

    def decompress(self, data: bytes) -> Iterator[bytes]:
        for chunk in self._inner.decompress(data):
            self._left -= len(chunk)
            if self._left < 0:
                raise LimitExceeded(f"cannot decompress layer: more than {self._limit} bytes")
            yield chunk

    def finish(self) -> None:
        self._inner.finish()


class _Identity:
    def decompress(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), MAX_CHUNK):
            yield data[start : start + MAX_CHUNK]

    def finish(self) -> None:
        """Bytes as they are end anywhere."""


class _Gunzip:
    """Members one after the other, RFC 1952 section 2.2; anything else behind a member is an error."""

    def __init__(self) -> None:
        from isal import igzip_lib  # noqa: PLC0415 - only who reads gzip pays for it

        self._new = partial(igzip_lib.IgzipDecompressor, flag=igzip_lib.DECOMP_GZIP)
        self._error: type[Exception] = igzip_lib.IsalError  # type: ignore[assignment]  # their stub says instance
        self._member = self._new()
        self._step = _FIRST_STEP

    def decompress(self, data: bytes) -> Iterator[bytes]:
        # What follows a member is copied out of the piece it ends in. Pieces start small, or a stream of
        # tiny members (eStargz has one for each file) would cost the square of its length.
        view = memoryview(data)
        position = 0
        while position < len(view):
            if self._member.eof:
                self._member = self._new()
                self._step = _FIRST_STEP
            piece = view[position : position + self._step]
            yield from self._read_member(piece)
            position += len(piece) - len(self._member.unused_data)
            self._step = min(2 * self._step, MAX_CHUNK)

    def _read_member(self, piece: memoryview) -> Iterator[bytes]:
        member = self._member
        try:
            chunk = member.decompress(piece, MAX_CHUNK)
            while chunk:
                yield chunk
                if member.eof or member.needs_input:
                    return
                chunk = member.decompress(b"", MAX_CHUNK)
        except self._error as error:
            raise InvalidLayer(f"cannot decompress layer: gzip: {str(error).lower()}") from error

    def finish(self) -> None:
        if not self._member.eof:
            raise InvalidLayer("cannot decompress layer: the gzip stream is truncated")


class _Unzstd:
    """Frames one after the other, skippable ones among them, RFC 8878 section 3.1."""

    def __init__(self) -> None:
        import zstandard  # noqa: PLC0415 - only who reads zstd pays for it

        self._error: type[Exception] = zstandard.ZstdError
        context = zstandard.ZstdDecompressor(max_window_size=_MAX_ZSTD_WINDOW)
        self._object = context.decompressobj(read_across_frames=True)
        self._cutter = FrameCutter(MAX_CHUNK // MAX_BLOCK_OUTPUT - 1)

    def decompress(self, data: bytes) -> Iterator[bytes]:
        try:
            for piece in self._cutter.cut(data):
                if chunk := self._object.decompress(piece):
                    yield chunk
        except self._error as error:
            raise InvalidLayer(f"cannot decompress layer: {str(error).lower()}") from error

    def finish(self) -> None:
        if not self._cutter.is_between_frames:
            raise InvalidLayer("cannot decompress layer: the zstd stream is truncated")


class _Gzip:
    """ISA-L's output depends on how its input is cut: it is always cut alike."""

    def __init__(self) -> None:
        from isal import isal_zlib  # noqa: PLC0415 - only who writes gzip pays for it

        self._object = isal_zlib.compressobj(_GZIP_LEVEL, wbits=_GZIP_WINDOW_BITS + _GZIP_HEADER)
        self._pending = bytearray()

    def compress(self, data: bytes) -> bytes:
        self._pending += data
        whole = len(self._pending) // _GZIP_INPUT * _GZIP_INPUT
        ready = [
            self._object.compress(self._pending[start : start + _GZIP_INPUT])
            for start in range(0, whole, _GZIP_INPUT)
        ]
        del self._pending[:whole]
        return b"".join(ready)

    def flush(self) -> bytes:
        return self._object.compress(self._pending) + self._object.flush()


class _Verbatim:
    def compress(self, data: bytes) -> bytes:
        return data

    def flush(self) -> bytes:
        return b""
