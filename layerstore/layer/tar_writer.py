"""The end of a layer's pipeline: uncompressed bytes are hashed, appended to the tar, and indexed.

Knows nothing of compression, and of threads only that one of them calls it at a time.
"""

import hashlib
import os
from typing import TYPE_CHECKING, Final

from layerstore.dataclass import dataclass
from layerstore.disk.write_behind import WriteBehind
from layerstore.errors import storage_error
from layerstore.layer.changes import Facts
from layerstore.layer.files import INDEX, TAR
from layerstore.layer.layer_index import write_layer_index
from layerstore.layer.source import TarFile
from layerstore.oci.digest import Digest

if TYPE_CHECKING:
    from layerstore.layer.indexer import Indexer

_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_READ_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
_MODE: Final = 0o644


@dataclass(frozen=True, slots=True)
class PlainBlob:
    """The file at `path` that another writes and verifies, and the sha256 digest it is verified to have."""

    path: str
    digest: Digest


class TarWriter:
    """Writes `TAR` and `INDEX` into a directory that has neither.

    Of a tar that `is_read_soon` all stays in the page cache, which a large one otherwise leaves (docs/adr/0010).
    """

    def __init__(self, directory: str, *, userxattr: bool = False, is_read_soon: bool = False) -> None:
        self.size = 0
        """Bytes of tar so far."""
        self._directory = directory
        self._userxattr = userxattr
        self._is_read_soon = is_read_soon
        self._shared: PlainBlob | None = None
        self._digest = hashlib.sha256()
        self._indexer: Indexer | None = None
        self._files: list[int] = []
        try:
            for name in (TAR, INDEX):
                self._files.append(os.open(os.path.join(directory, name), _FLAGS, _MODE))
        except OSError as error:
            self._close()
            raise storage_error(error, f"write a layer to {directory}") from error
        self._behind = WriteBehind(self._files[0])

    def share(self, blob: PlainBlob) -> None:
        """Let the tar, empty so far, be another name of `blob`: the same bytes are not written and hashed twice.

        What is appended from now on is in the blob already. Without hard links to be had, nothing changes.
        Raises `StorageError`.
        """
        tar = os.path.join(self._directory, TAR)
        try:
            os.unlink(tar)
            if _is_linked(blob.path, tar):
                self._shared = blob
            fresh = os.open(tar, _FLAGS if self._shared is None else _READ_FLAGS, _MODE)
            os.close(self._files[0])
            self._files[0] = fresh
            self._behind = WriteBehind(fresh)
        except OSError as error:
            raise storage_error(error, f"write a layer to {self._directory}") from error

    def append(self, batch: list[bytes]) -> None:
        """Take the next bytes of the tar. Raises `StorageError`, and what the indexer found wrong so far."""
        for data in batch:
            if self._shared is None:
                self._digest.update(data)
                _write(self._files[0], data)
            self.size += len(data)
        if self._shared is None:
            self._behind.advance(self.size)
        if self._indexer is not None:
            self._indexer.advance(self.size)

    def start_indexer(self) -> None:
        """Let another process do the indexing, from now on beside the writing. Raises `StorageError`."""
        from layerstore.layer.indexer import Indexer  # noqa: PLC0415 - every command imports this module

        self._indexer = Indexer(*self._files, userxattr=self._userxattr, is_read_soon=self._is_read_soon)
        self._indexer.advance(self.size)

    def finish(self) -> tuple[Digest, Facts]:
        """diff_id and facts, once both files are complete and closed. Raises what `write_layer_index` raises."""
        diff_id = self._shared.digest if self._shared else Digest("sha256", self._digest.hexdigest())
        uuid = bytes.fromhex(diff_id.encoded)
        if self._indexer is not None:
            facts = self._indexer.finish(self.size, uuid)
        else:
            tar, index = self._files
            facts = write_layer_index(TarFile(tar), index, lambda: uuid, userxattr=self._userxattr)
        self._close()
        return diff_id, facts

    def abort(self) -> None:
        """End the indexer and close the files, as they are. Idempotent, also after `finish`."""
        if self._indexer is not None:
            self._indexer.abort()
        self._close()

    def _close(self) -> None:
        while self._files:
            os.close(self._files.pop())


def index_tar(tar: str, index: str, diff_id: Digest, *, userxattr: bool = False) -> Facts:
    """Index the finished tar at path `tar`, whose diff_id is known, into the new file `index`.

    Gives the bytes that `TarWriter` gave for the same tar. Raises `StorageError` and what
    `write_layer_index` raises.
    """
    files: list[int] = []
    try:
        files.append(os.open(tar, _READ_FLAGS))
        files.append(os.open(index, _FLAGS, _MODE))
        uuid = bytes.fromhex(diff_id.encoded)
        return write_layer_index(TarFile(files[0]), files[1], lambda: uuid, userxattr=userxattr)
    except OSError as error:
        raise storage_error(error, f"index layer {diff_id.short} into {index}") from error
    finally:
        for fd in files:
            os.close(fd)


def _is_linked(path: str, name: str) -> bool:
    """Whether `name` is a hard link to `path` now, where the file system has such."""
    try:
        os.link(path, name, follow_symlinks=False)
    except OSError:
        return False
    return True


def _write(fd: int, data: bytes) -> None:
    rest = memoryview(data)
    try:
        while rest:
            rest = rest[os.write(fd, rest) :]
    except OSError as error:
        raise storage_error(error, "write a layer's tar") from error
