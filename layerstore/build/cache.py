"""What finished steps are known by: records, each under its key, that keep the layers they name alive.

    ROOT/build-cache/records/HEX    one finished step; its time of change is its last use
    ROOT/build-cache/contexts/HEX   the digests of one context's files (`layerstore.build.digest_cache`)
    ROOT/build-cache/mounts/HEX/    one cache of ``RUN --mount=type=cache``: lock, about, data/
    ROOT/build-cache/holds/HEX      the stacks that a build at work reads, a locked file
    ROOT/build-cache/downloads/     what is being fetched
    ROOT/build-cache/steps/HEX/     a step at work: lock, and what its process needs

A record appears by one rename, after its layer is durable, and is removed before its layer. What a key covers
is `step_key`'s business; images that were pulled have no records, and so are no candidates (CVE-2024-24557).
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Final

from layerstore.dataclass import dataclass
from layerstore.disk.faults import CrashPoint
from layerstore.disk.locks import open_lock
from layerstore.disk.publish import (
    TEMPORARY_PREFIX,
    make_directories,
    remove_file,
    sync_directory,
    write_file,
)
from layerstore.errors import InvalidInput, storage_error
from layerstore.oci import mediatype
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.digest import Digest
from layerstore.oci.document import dump, natural, parse_object, required_text, text
from layerstore.store.layout import Layout

_MAX_RECORD: Final = 1 << 20
_PASSABLE: Final = 0o711

_RECORDED = CrashPoint("build: step recorded")


@dataclass(frozen=True, slots=True)
class Record:
    """One finished step: the layer it made, None where it changed nothing, and what people call it."""

    key: Digest
    layer: Descriptor | None
    title: str
    created: int
    """Seconds since the epoch."""

    @property
    def size(self) -> int:
        """Bytes of the layer."""
        return 0 if self.layer is None else self.layer.size

    @classmethod
    def parse(cls, key: Digest, raw: bytes) -> "Record":
        """The record that `raw` spells. Raises `InvalidInput`."""
        source = parse_object(raw, "build record", limit=_MAX_RECORD)
        digest = text(source, "layer")
        layer = None
        if digest:
            layer = Descriptor(mediatype.OCI_LAYER, Digest.parse(digest), natural(source, "size"))
        return cls(key, layer, required_text(source, "title"), natural(source, "created"))

    def to_bytes(self) -> bytes:
        """The bytes of the record's file."""
        layer = "" if self.layer is None else str(self.layer.digest)
        return dump({"created": self.created, "layer": layer, "size": self.size, "title": self.title})


@dataclass(frozen=True, slots=True)
class Used:
    """A record and the time of its last use, in seconds since the epoch."""

    record: Record
    last_used: float


class StackHold:
    """What one build reads, so that a collection beside it leaves that alone. Lasts as long as its process at most."""

    def __init__(self, directory: str) -> None:
        """To be made, and `hold` called, under the store lock, shared. Raises ``OSError``."""
        self._path = os.path.join(directory, os.urandom(8).hex())
        self._lock = open_lock(self._path)
        self._lock.exclusive()
        self._held: set[tuple[Digest, ...]] = set()

    def hold(self, diff_ids: tuple[Digest, ...]) -> None:
        """From now on these layers and their stack stay. Raises ``OSError``."""
        if diff_ids not in self._held:
            self._lock.append((" ".join(map(str, diff_ids)) + "\n").encode())
            self._held.add(diff_ids)

    def close(self) -> None:
        """Give up the hold. Idempotent."""
        remove_file(self._path)
        self._lock.close()


class BuildCache:
    """The build cache of one store."""

    def __init__(self, layout: Layout) -> None:
        self._home = layout.build_cache
        self._records = os.path.join(self._home, "records")

    @property
    def mounts(self) -> str:
        """Where cache mounts lie."""
        return os.path.join(self._home, "mounts")

    @property
    def downloads(self) -> str:
        """Where downloads and git repositories lie while a build uses them."""
        return os.path.join(self._home, "downloads")

    @property
    def holds(self) -> str:
        """Where builds at work say what they read."""
        return os.path.join(self._home, "holds")

    @property
    def steps(self) -> str:
        """Where steps are worked on."""
        return os.path.join(self._home, "steps")

    def context_digests(self, context: str) -> str:
        """The file of the digests of the context whose directory is `context`."""
        return os.path.join(self._home, "contexts", Digest.of(os.fsencode(context)).encoded)

    def create(self) -> None:
        """Make the directories that are missing. Raises `StorageError`."""
        try:
            for path in (self._home, self._records, self.mounts, self.holds, self.downloads, self.steps):
                make_directories(path, mode=_PASSABLE)
        except OSError as error:
            raise storage_error(error, f"make a build cache in {self._home}") from error

    def find(self, key: Digest) -> Record | None:
        """The record under `key`; one that is damaged is none. Raises `StorageError`."""
        try:
            with open(self._path(key), "rb") as stream:
                return Record.parse(key, stream.read(_MAX_RECORD + 1))
        except (FileNotFoundError, InvalidInput):
            return None
        except OSError as error:
            raise storage_error(error, f"read {self._path(key)}") from error

    def touch(self, key: Digest) -> None:
        """Note that the record is used now."""
        with suppress(OSError):
            os.utime(self._path(key))

    def put(self, record: Record) -> None:
        """Keep `record`, durably; its layer is. Raises `StorageError`."""
        try:
            write_file(self._path(record.key), record.to_bytes())
            _RECORDED.reach()
        except OSError as error:
            raise storage_error(error, f"write {self._path(record.key)}") from error

    def records(self) -> tuple[Used, ...]:
        """All records, the least recently used first. Raises `StorageError`."""
        found = [each for name in self._names() if (each := self._used(name)) is not None]
        return tuple(sorted(found, key=lambda each: (each.last_used, each.record.key)))

    def layers(self) -> tuple[Descriptor, ...]:
        """The layers that records keep alive, each once. Raises `StorageError`."""
        layers = (each.record.layer for each in self.records())
        return tuple(dict.fromkeys(layer for layer in layers if layer is not None))

    def remove(self, keys: Iterable[Digest]) -> None:
        """Remove records, durably. Raises `StorageError`."""
        try:
            for key in keys:
                remove_file(self._path(key))
            if os.path.isdir(self._records):
                sync_directory(self._records)
        except OSError as error:
            raise storage_error(error, f"remove records in {self._records}") from error

    def abandoned_steps(self) -> Iterator[str]:
        """The directories of steps whose process is gone; until the next is asked for, nobody else takes this one."""
        for name in _listed(self.steps):
            path = os.path.join(self.steps, name)
            try:
                lock = open_lock(os.path.join(path, "lock"))
            except FileNotFoundError:  # it went just now
                continue
            try:
                if lock.try_exclusive():
                    yield path
            finally:
                lock.close()

    def strays(self) -> tuple[str, ...]:
        """Temporary files that nobody finishes, caches that are under removal, holds of the dead.

        The caller holds the store lock, alone.
        """
        listed = ((home, name) for home in (self._records, self.mounts) for name in _listed(home))
        temporary = (os.path.join(home, name) for home, name in listed if name.startswith(TEMPORARY_PREFIX))
        return (*temporary, *filter(_is_abandoned, self._hold_files()))

    def held_stacks(self) -> set[tuple[Digest, ...]]:
        """The stacks that builds at work read. The caller holds the store lock, alone."""
        found: set[tuple[Digest, ...]] = set()
        for path in self._hold_files():
            if not _is_abandoned(path):
                found.update(_stacks(path))
        return found

    def _hold_files(self) -> list[str]:
        try:
            return [os.path.join(self.holds, name) for name in sorted(os.listdir(self.holds))]
        except FileNotFoundError:
            return []

    def _used(self, name: str) -> Used | None:
        key = Digest("sha256", name)
        record = self.find(key)
        try:
            return None if record is None else Used(record, os.stat(self._path(key)).st_mtime)
        except FileNotFoundError:
            return None

    def _names(self) -> list[str]:
        return [name for name in _listed(self._records) if not name.startswith(".")]

    def _path(self, key: Digest) -> str:
        return os.path.join(self._records, key.encoded)


def _listed(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except FileNotFoundError:
        return []


def _is_abandoned(lock: str) -> bool:
    """Whether nobody holds it; who works has made it before anything else and holds it."""
    try:
        held = open_lock(lock, create=False)
    except FileNotFoundError:
        return True
    try:
        return held.try_exclusive()
    finally:
        held.close()


def _stacks(path: str) -> Iterator[tuple[Digest, ...]]:
    try:
        with open(path, encoding="ascii") as stream:
            lines = stream.read().splitlines()
    except FileNotFoundError:  # given up just now
        return
    for line in lines:
        with suppress(InvalidInput):  # its process could not write the line whole, and knows
            yield tuple(Digest.parse(each) for each in line.split())
