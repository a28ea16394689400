"""The graph of content, and the protocols by which it is reached. Stage "graph" of docs/flow.md.

`children` is the only code that knows which fields of a manifest name other content. A registry
repository, the local store, an OCI layout and an archive are each a `Source`, and where they can be
written, a `Target`; `layerstore.copy` moves graphs between any two of them.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Protocol

from layerstore.errors import ContentMismatch, LimitExceeded, UnsupportedContent
from layerstore.oci import mediatype
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.document import MAX_DOCUMENT
from layerstore.oci.manifest import Index, Manifest, parse

CHUNK = 1 << 20
"""Bytes moved at once: large enough that per-call costs vanish, small enough for many layers at once."""


class Readable(Protocol):
    """A stream of bytes, read forward."""

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes; empty at the end and only there."""
        ...


Opener = Callable[[int], AbstractContextManager[Readable]]
"""Opens some content at a byte offset, so that whoever has a prefix already can ask for the rest."""


class Source(Protocol):
    """Content that can be read, and names for some of it."""

    def resolve(self, name: str) -> Descriptor:
        """The root that `name` (a tag or digest in a repository, a ref elsewhere) stands for now.

        Raises `NotFound`.
        """
        ...

    def fetch(self, descriptor: Descriptor, offset: int = 0) -> AbstractContextManager[Readable]:
        """The content's bytes from `offset` on, unverified: whoever reads, verifies. Raises `NotFound`."""
        ...


class Target(Source, Protocol):
    """Content that can be written too."""

    def has(self, descriptor: Descriptor) -> bool:
        """Whether the content is there whole."""
        ...

    def push(self, descriptor: Descriptor, opener: Opener) -> None:
        """Take the content that `opener` gives. Children are there before a manifest is pushed.

        Verifies; raises `ContentMismatch` and keeps nothing under the digest. Idempotent.
        """
        ...

    def tag(self, descriptor: Descriptor, name: str) -> None:
        """Let `name` stand for `descriptor`, whose graph is there."""
        ...


class VerifyingReader:
    """A stream that ends in success only if its bytes have the descriptor's size and digest.

    The check happens at the end of the stream, so a caller must read until empty before it trusts
    a byte. `feed` takes bytes that the caller has from elsewhere (the kept prefix of a broken download).
    """

    def __init__(self, stream: Readable, descriptor: Descriptor) -> None:
        self._stream = stream
        self._descriptor = descriptor
        self._hasher = descriptor.digest.new_hasher()
        self.count = 0

    def feed(self, data: bytes | memoryview) -> None:
        """Count `data` as if it had been read."""
        self._hasher.update(data)
        self.count += len(data)

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes. Raises `ContentMismatch` at the end, or as soon as there are too many."""
        data = self._stream.read(size)
        self.feed(data)
        if self.count > self._descriptor.size:
            raise ContentMismatch(
                f"{self._descriptor.digest} is longer than its {self._descriptor.size} bytes"
            )
        if not data:
            self._check()
        return data

    def _check(self) -> None:
        wanted = self._descriptor
        if self.count != wanted.size:
            raise ContentMismatch(f"{wanted.digest} has {self.count} bytes, not {wanted.size}")
        if self._hasher.hexdigest() != wanted.digest.encoded:
            raise ContentMismatch(f"bytes that came as {wanted.digest} have another digest")


def read_document(source: Source, descriptor: Descriptor, *, limit: int = MAX_DOCUMENT) -> bytes:
    """The verified bytes of a small document (manifest, index, config).

    Raises `LimitExceeded` where the descriptor says more than `limit` bytes, `ContentMismatch`, `NotFound`.
    """
    if descriptor.size > limit:
        raise LimitExceeded(f"{descriptor.digest} has {descriptor.size} bytes, over the limit of {limit}")
    with source.fetch(descriptor) as stream:
        reader = VerifyingReader(stream, descriptor)
        return b"".join(iter(partial(reader.read, CHUNK), b""))


def read_manifest(source: Source, descriptor: Descriptor) -> Manifest | Index:
    """The verified, parsed manifest or index that `descriptor` names.

    Raises as `read_document` and `manifest.parse` do.
    """
    return parse(read_document(source, descriptor), descriptor.media_type)


def has_children(descriptor: Descriptor) -> bool:
    """Whether the content is a manifest or an index, which name other content."""
    return mediatype.is_manifest(descriptor.media_type) or mediatype.is_index(descriptor.media_type)


def children(parsed: Manifest | Index) -> tuple[Descriptor, ...]:
    """What `parsed` is made of, in order; its subject, which it only comments on, is not part of it.

    Raises `UnsupportedContent` for layers that would have to be fetched from elsewhere.
    """
    if isinstance(parsed, Index):
        return parsed.manifests
    for layer in parsed.layers:
        if mediatype.is_foreign(layer.media_type):
            raise UnsupportedContent(
                f"layer {layer.digest} is foreign: lstore never fetches from the URLs that an image names"
            )
    return (parsed.config, *parsed.layers)


@contextmanager
def opened_bytes(data: bytes, offset: int = 0) -> Iterator[Readable]:
    """An `Opener`'s result over bytes in memory."""
    yield BytesReader(data[offset:])


class BytesReader:
    """A `Readable` over bytes in memory."""

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes."""
        head, self._data = self._data[:size], self._data[size:]
        return bytes(head)
