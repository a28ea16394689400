"""Write an OCI image layout as one tar, on a file or a pipe, as a `Target`. OCI image-spec, image-layout.md.

Blobs go out as they come, each once, children first as `layerstore.copy` sends them; ``index.json`` and
``oci-layout`` are last, so that an archive that was cut short is none.
"""

import threading
from contextlib import AbstractContextManager

from layerstore.archive.layout_index import INDEX_FILE, LAYOUT_BYTES, LAYOUT_FILE, LayoutIndex
from layerstore.archive.oci_layout import blob_name
from layerstore.archive.tar_writer import Output, TarWriter
from layerstore.content import Opener, Readable, VerifyingReader
from layerstore.errors import NotFound
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.digest import Digest


class OciArchiveWriter:
    """A `Target` that can be written but not read back. Safe for threads; its order is that of the pushes.

    For the same bytes every time push from one thread: ``copy(…, parallel=1)``.
    """

    def __init__(self, output: Output) -> None:
        self._tar = TarWriter(output)
        self._index = LayoutIndex.empty()
        self._written: set[Digest] = set()
        self._lock = threading.Lock()

    def resolve(self, name: str) -> Descriptor:
        """The root that was tagged `name`. Raises `NotFound`."""
        return self._index.resolve(name)

    def fetch(self, descriptor: Descriptor, offset: int = 0) -> AbstractContextManager[Readable]:
        """Always raises `NotFound`: what went down a pipe cannot be had back."""
        raise NotFound(f"cannot read {descriptor.digest} back from {offset}: the archive is being written")

    def has(self, descriptor: Descriptor) -> bool:
        """Whether the content went out already."""
        return descriptor.digest in self._written

    def push(self, descriptor: Descriptor, opener: Opener) -> None:
        """Send the content out, verified on its way; others wait meanwhile.

        Raises `ContentMismatch`, `StorageError`, and what the opener raises; then the archive is spoilt and
        every further call raises `Conflict`.
        """
        with self._lock:
            if self.has(descriptor):
                return
            with opener(0) as stream:
                reader = VerifyingReader(stream, descriptor)
                self._tar.add_file(
                    blob_name(descriptor.digest), descriptor.size, lambda member: member.copy_from(reader)
                )
            self._written.add(descriptor.digest)

    def tag(self, descriptor: Descriptor, name: str) -> None:
        """Let the index call `descriptor` by `name`."""
        self._index = self._index.with_name(descriptor, name)

    def add_root(self, descriptor: Descriptor) -> None:
        """Let the index list `descriptor`, for an image that has no name."""
        self._index = self._index.with_root(descriptor)

    def finish(self) -> None:
        """Write index and layout file, and end the archive. Raises `Conflict`, `StorageError`."""
        self._tar.add_bytes(INDEX_FILE, self._index.to_bytes())
        self._tar.add_bytes(LAYOUT_FILE, LAYOUT_BYTES)
        self._tar.finish()
