"""Durable blobs, and the store as a `Source`: bytes by descriptor, roots by name."""

import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from io import FileIO

from layerstore.content import Readable, children, has_children, read_manifest
from layerstore.errors import LstoreError, NotFound, StoreDamaged, storage_error
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.digest import Digest
from layerstore.oci.platform import Platform
from layerstore.oci.reference import Reference
from layerstore.store.layout import Layout, parse_name
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

    def paths(self) -> dict[Digest, str]:
        """Every blob on disk, in the order of the digests. Raises ``OSError``."""
        parent = os.path.dirname(self._layout.blobs("sha256"))
        directories = [os.path.join(parent, name) for name in sorted(os.listdir(parent))]
        found: dict[Digest, str] = {}
        for directory in filter(os.path.isdir, directories):
            for name in sorted(os.listdir(directory)):
                digest = parse_name(f"{os.path.basename(directory)}-{name}")
                if digest is not None:
                    found[digest] = os.path.join(directory, name)
        return found

    def size(self, digest: Digest) -> int:
        """The bytes of the blob of that digest. Raises `NotFound`."""
        try:
            return os.stat(self._layout.blob(digest)).st_size
        except OSError as error:
            raise NotFound(f"no blob {digest} in the store", hint="lstore fsck") from error

    def has(self, descriptor: Descriptor) -> bool:
        """Whether the blob is there, in its size; one of another size is damage, and counts as missing."""
        try:
            return os.stat(self._layout.blob(descriptor.digest)).st_size == descriptor.size
        except OSError:
            return False

    def has_graph(self, descriptor: Descriptor) -> bool:
        """Whether the blob is there with all that it names, so that damage below it is found and mended."""
        return next(self.missing(descriptor), None) is None

    def missing(self, root: Descriptor) -> Iterator[tuple[Descriptor, str]]:
        """What `root` needs and the store does not have whole, and what is wrong with it; each piece once."""
        seen = {root}  # a hostile index could name one child along more paths than there are atoms
        pending = [root]
        while pending:
            node = pending.pop()
            if not self.has(node):
                yield node, "is missing or has another size"
            elif has_children(node):
                try:
                    below = children(read_manifest(self, node))
                except LstoreError as error:
                    yield node, f"cannot be read: {error.message}"
                    continue
                fresh = [child for child in dict.fromkeys(below) if child not in seen]
                seen.update(fresh)
                pending += reversed(fresh)

    def touch(self, root: Descriptor, now: float | None = None) -> None:
        """Remember that the image `root` was used at `now`, in seconds since 1970; by default just now.

        The time is the modification time of the blob, whose bytes never change. It is not made durable:
        what a power cut may lose is a little of the past, never an image.
        """
        moment = time.time() if now is None else now
        with suppress(OSError):  # a store that we may only read, or content that is gone
            os.utime(self._layout.blob(root.digest), (moment, moment))

    def last_used(self, root: Descriptor) -> float:
        """When the image `root` was last used, or else came, in seconds since 1970; 0 where it is missing."""
        try:
            return os.stat(self._layout.blob(root.digest)).st_mtime
        except OSError:
            return 0.0

    def fetch(self, descriptor: Descriptor, offset: int = 0) -> AbstractContextManager[Readable]:
        """The blob's bytes from `offset` on, unverified. Raises `NotFound`, `StoreDamaged`, `StorageError`."""
        return self.open_file((self._layout.blob(descriptor.digest),), descriptor, offset)

    @contextmanager
    def open_file(self, paths: tuple[str, ...], descriptor: Descriptor, offset: int) -> Iterator[Readable]:
        """The bytes from `offset` on of the first of `paths` that is there, each of which may be the blob.

        Raises as `fetch` does.
        """
        try:
            stream = _open_first(paths)
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


def _open_first(paths: tuple[str, ...]) -> FileIO:
    for path in paths[:-1]:
        with suppress(FileNotFoundError):
            return open(path, "rb", buffering=0)
    return open(paths[-1], "rb", buffering=0)
