"""Leases: what running processes rely on, so that a collection beside them leaves it alone.

A lease is a file that its process keeps locked, with one descriptor a line. The lock goes with the
process, so a lease never outlives it; what is left of one is removed by the next collection.
"""

import os
from collections.abc import Iterator
from contextlib import suppress

from layerstore.disk.locks import open_lock
from layerstore.disk.publish import remove_file
from layerstore.errors import InvalidInput
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.document import dump, parse_object
from layerstore.store.layout import Layout

MAX_LEASE = 16 << 20
"""Bytes of one lease that a collection reads: about a hundred thousand descriptors."""


class Lease:
    """A hold on content, from `hold` until `close`. Make it, and `hold`, under the store lock, shared."""

    def __init__(self, layout: Layout) -> None:
        self._path = os.path.join(layout.leases, f"{os.getpid()}-{os.urandom(4).hex()}")
        self._lock = open_lock(self._path)
        self._lock.exclusive()
        self._stream = open(self._path, "ab", buffering=0)  # noqa: SIM115  # closed by close()
        self._held: set[Descriptor] = set()

    def hold(self, descriptor: Descriptor) -> None:
        """From now on no collection takes that content, or what it names."""
        if descriptor not in self._held:
            self._held.add(descriptor)
            bare = Descriptor(descriptor.media_type, descriptor.digest, descriptor.size)
            self._stream.write(dump(bare.to_json()) + b"\n")

    def close(self) -> None:
        """Give up the hold. Idempotent."""
        if not self._stream.closed:
            remove_file(self._path)
            self._stream.close()
            self._lock.close()


def held(layout: Layout) -> set[Descriptor]:
    """All content that running processes hold. Called under the store lock, exclusive."""
    found: set[Descriptor] = set()
    for path in _paths(layout):
        if not is_abandoned(path):
            found.update(_descriptors(path))
    return found


def abandoned(layout: Layout) -> tuple[str, ...]:
    """The paths of leases whose process is gone."""
    return tuple(path for path in _paths(layout) if is_abandoned(path))


def _paths(layout: Layout) -> list[str]:
    return [os.path.join(layout.leases, name) for name in sorted(os.listdir(layout.leases))]


def is_abandoned(path: str) -> bool:
    """Whether nobody holds the lock on the file at `path`, which is there."""
    try:
        lock = open_lock(path, create=False)
    except FileNotFoundError:
        return False
    try:
        return lock.try_exclusive()
    finally:
        lock.close()


def _descriptors(path: str) -> Iterator[Descriptor]:
    with open(path, "rb") as stream:
        lines = stream.read(MAX_LEASE).splitlines()
    for line in lines:
        with suppress(InvalidInput):  # a line being written just now
            yield Descriptor.from_json(parse_object(line, "lease"))
