"""Durable blobs, and the store as a `Source`: bytes by descriptor, roots by name."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from layerstore.content import Readable, children, has_children, read_manifest
from layerstore.errors import ContentMismatch, InvalidInput, NotFound, StoreDamaged, storage_error
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.digest import Digest
from layerstore.oci.platform import Platform
from layerstore.oci.reference import Reference
from layerstore.store.layout import Layout
from layerstore.store.refs import RefStore


class Blobs:
    """The blobs of one store, read by a host of `platform`."""

    def __init__(self, layout: Layout, refs: RefStore, platform: Platform) -> None:
        self._layout = layout
        self._refs = refs
        self._platform = platform

    def resolve(self, name: str) -> Descriptor:
        """The root that the image `name` stands for on this platform. Raises `NotFound`."""
        ref = self._refs.read().find(Reference.parse(name), self._platform)
        if ref is None:
            raise NotFound(f"no such image: {name}", hint=f"lstore pull {name}")
        return ref.descriptor

    def exists(self, digest: Digest) -> bool:
        """Whether there is a blob of that digest."""
        return os.path.exists(self._layout.blob(digest))

    def has(self, descriptor: Descriptor) -> bool:
        """Whether the blob is there, in its size; one of another size is damage, and counts as missing."""
        try:
            return os.stat(self._layout.blob(descriptor.digest)).st_size == descriptor.size
        except FileNotFoundError:
            return False

    def has_graph(self, descriptor: Descriptor) -> bool:
        """Whether the blob is there with all that it names, so that damage below it is found and mended."""
        if not self.has(descriptor):
            return False
        if not has_children(descriptor):
            return True
        try:
            return all(self.has_graph(child) for child in children(read_manifest(self, descriptor)))
        except (InvalidInput, ContentMismatch):
            return False

    def fetch(self, descriptor: Descriptor, offset: int = 0) -> AbstractContextManager[Readable]:
        """The blob's bytes from `offset` on, unverified. Raises `NotFound` or `StoreDamaged`."""
        return self.open_file(self._layout.blob(descriptor.digest), descriptor, offset)

    @contextmanager
    def open_file(self, path: str, descriptor: Descriptor, offset: int) -> Iterator[Readable]:
        """The bytes of the file at `path`, which holds the blob, from `offset` on."""
        try:
            stream = open(path, "rb", buffering=0)  # noqa: SIM115  # closed below, errors told apart before
        except FileNotFoundError as error:
            raise NotFound(f"no blob {descriptor.digest} in the store", hint="lstore fsck") from error
        except OSError as error:
            raise storage_error(error, f"read blob {descriptor.digest}") from error
        with stream:
            size = os.fstat(stream.fileno()).st_size
            if size != descriptor.size:
                raise StoreDamaged(f"blob {descriptor.digest} has {size} bytes, not {descriptor.size}")
            stream.seek(offset)
            yield stream
