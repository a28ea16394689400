"""An OCI image layout in a directory, as `Source` and `Target`. OCI image-spec, image-layout.md.

Durable like the store: a blob is written under a temporary name, verified, synced and renamed; the
``index.json`` is replaced last. What another tool left in the directory is read with suspicion:
`layerstore.archive.plain_file`.
"""

import os
from contextlib import AbstractContextManager

from layerstore.archive.layout_index import (
    INDEX_FILE,
    LAYOUT_BYTES,
    LAYOUT_FILE,
    MAX_INDEX,
    MAX_LAYOUT_FILE,
    ArchivedImage,
    LayoutIndex,
    check_layout_file,
)
from layerstore.archive.plain_file import opened_plain_file, plain_file_size, read_plain_file
from layerstore.content import CHUNK, Opener, Readable, VerifyingReader
from layerstore.dataclass import dataclass
from layerstore.disk.faults import CrashPoint
from layerstore.disk.locks import exclusive
from layerstore.disk.publish import (
    TEMPORARY_PREFIX,
    make_directories,
    move,
    remove_file,
    sync_descriptor,
    sync_directory,
    write_file,
)
from layerstore.errors import Conflict, InvalidArchive, NotFound, file_error
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.digest import Digest

BLOBS = "blobs"
_WRITTEN = CrashPoint("layout: blob durable, not visible")
_VISIBLE = CrashPoint("layout: blob visible, directory not synced")
_STAGED = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW


@dataclass(frozen=True, slots=True)
class LayoutDirectory:
    """The layout at `path`. Safe for threads; `tag` takes turns with other processes of lstore."""

    path: str

    @classmethod
    def open(cls, path: str) -> "LayoutDirectory":
        """The layout that is at `path`. Raises `NotFound`, `InvalidArchive`, `UnsupportedContent`."""
        if not os.path.isdir(path):
            raise NotFound(f"no directory {path}")
        try:
            check_layout_file(read_plain_file(path, LAYOUT_FILE, limit=MAX_LAYOUT_FILE))
        except NotFound as error:
            raise InvalidArchive(f"{path} is no OCI image layout: it has no file {LAYOUT_FILE}") from error
        return cls(path)

    @classmethod
    def create(cls, path: str) -> "LayoutDirectory":
        """The layout at `path`, made where the directory is empty or missing. Idempotent.

        Raises `Conflict` where the directory holds something else, and what `open` raises.
        """
        try:
            make_directories(os.path.abspath(path))
            left = {LAYOUT_FILE, INDEX_FILE, BLOBS}  # of a creation that was interrupted
            if LAYOUT_FILE not in os.listdir(path):
                if any(
                    name not in left and not name.startswith(TEMPORARY_PREFIX) for name in os.listdir(path)
                ):
                    raise Conflict(f"cannot make an image layout in {path}: it holds other files")
                make_directories(os.path.join(path, BLOBS, "sha256"))
                write_file(os.path.join(path, INDEX_FILE), LayoutIndex.empty().to_bytes())
                write_file(os.path.join(path, LAYOUT_FILE), LAYOUT_BYTES)
        except OSError as error:
            raise file_error(error, f"make an image layout in {path}") from error
        return cls.open(path)

    def index(self) -> LayoutIndex:
        """The ``index.json`` as of now. Raises `InvalidArchive`."""
        try:
            return LayoutIndex.parse(read_plain_file(self.path, INDEX_FILE, limit=MAX_INDEX))
        except NotFound as error:
            raise InvalidArchive(f"image layout {self.path} has no {INDEX_FILE}") from error

    def images(self) -> tuple[ArchivedImage, ...]:
        """Every root, with its names. Raises as `index` does."""
        return self.index().images()

    def resolve(self, name: str) -> Descriptor:
        """The root that an annotation calls `name`, or whose digest it is. Raises `NotFound`."""
        return self.index().resolve(name)

    def fetch(self, descriptor: Descriptor, offset: int = 0) -> AbstractContextManager[Readable]:
        """The blob's bytes from `offset` on. Raises `NotFound`, `InvalidArchive` for what is no plain file."""
        return opened_plain_file(self.path, blob_name(descriptor.digest), offset)

    def has(self, descriptor: Descriptor) -> bool:
        """Whether a blob of that digest and size is there.

        Raises `InvalidArchive` for what is no plain file, `StorageError`.
        """
        return plain_file_size(self.path, blob_name(descriptor.digest)) == descriptor.size

    def push(self, descriptor: Descriptor, opener: Opener) -> None:
        """Take the content, verified and durable. Raises `ContentMismatch`, `StorageError`."""
        if self.has(descriptor):
            return
        try:
            self._publish(descriptor, opener)
        except OSError as error:
            raise file_error(error, f"write {descriptor.digest} to {self.path}") from error

    def tag(self, descriptor: Descriptor, name: str) -> None:
        """Let `name` stand for `descriptor`, durably; other names are untouched. Raises `StorageError`."""
        try:
            with exclusive(os.path.join(self.path, LAYOUT_FILE)):
                write_file(
                    os.path.join(self.path, INDEX_FILE), self.index().with_name(descriptor, name).to_bytes()
                )
        except OSError as error:
            raise file_error(error, f"tag {name!r} in {self.path}") from error

    def _publish(self, descriptor: Descriptor, opener: Opener) -> None:
        directory = os.path.join(self.path, BLOBS, descriptor.digest.algorithm)
        make_directories(os.path.abspath(directory))
        temporary = os.path.join(
            self.path, f"{TEMPORARY_PREFIX}{descriptor.digest.short}.{os.urandom(4).hex()}"
        )
        try:
            with opener(0) as stream:
                _write_verified(temporary, VerifyingReader(stream, descriptor))
            _WRITTEN.reach()
            move(temporary, os.path.join(self.path, blob_name(descriptor.digest)))
        except BaseException:
            remove_file(temporary)
            raise
        _VISIBLE.reach()
        sync_directory(directory)


def blob_name(digest: Digest) -> str:
    """Where a blob lies inside a layout."""
    return f"{BLOBS}/{digest.algorithm}/{digest.encoded}"


def _write_verified(path: str, reader: VerifyingReader) -> None:
    with os.fdopen(os.open(path, _STAGED, 0o644), "wb", buffering=0) as file:
        while data := reader.read(CHUNK):
            view = memoryview(data)
            while view:
                view = view[file.write(view) :]
        sync_descriptor(file.fileno())
