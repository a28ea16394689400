"""Images in one archive file, whatever its format: a `Source` of blobs that are members, or made for it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

from layerstore.archive.layout_index import ArchivedImage
from layerstore.archive.members import Member, Members
from layerstore.content import Readable, Source, opened_bytes
from layerstore.errors import NotFound
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.digest import Digest

Blob = Member | bytes
"""Where some content is: a plain file of the archive, or the bytes of a manifest made up for it."""


class ImageArchive(Source, Protocol):
    """A `Source` that can say which images it has."""

    def images(self) -> tuple[ArchivedImage, ...]:
        """Every root once, with all its names."""
        ...

    def has(self, descriptor: Descriptor) -> bool:
        """Whether the content is there."""
        ...


class TarArchive:
    """`ImageArchive` over an open archive file."""

    def __init__(
        self, members: Members, images: tuple[ArchivedImage, ...], blobs: Mapping[Digest, Blob]
    ) -> None:
        self._members = members
        self._images = images
        self._blobs = blobs

    def images(self) -> tuple[ArchivedImage, ...]:
        """Every root once, with all its names, in the archive's order."""
        return self._images

    def resolve(self, name: str) -> Descriptor:
        """The root that the archive calls `name`, or whose digest it is. Raises `NotFound`."""
        for image in self._images:
            if name in image.names or name == str(image.root.digest):
                return image.root
        raise NotFound(f"no image is named {name!r} in the archive")

    def has(self, descriptor: Descriptor) -> bool:
        """Whether the archive has content of that digest."""
        return descriptor.digest in self._blobs

    @contextmanager
    def fetch(self, descriptor: Descriptor, offset: int = 0) -> Iterator[Readable]:
        """The content's bytes from `offset` on, unverified. Raises `NotFound`."""
        blob = self._blobs.get(descriptor.digest)
        if blob is None:
            raise NotFound(f"the archive has no blob {descriptor.digest}")
        opened = opened_bytes(blob, offset) if isinstance(blob, bytes) else self._members.opened(blob, offset)
        with opened as stream:
            yield stream
