"""Leases: what running processes rely on, so that a collection beside them leaves it alone.

A lease is a file that its process keeps locked, with one descriptor a line. The lock goes with the
process, so a lease never outlives it; what is left of one is removed by the next collection.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from layerstore.disk import locks
from layerstore.disk.locks import open_lock
from layerstore.disk.publish import remove_file
from layerstore.errors import InvalidInput
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.document import dump, parse_object
from layerstore.store.layout import Layout


class Lease:
    """A hold on content, from `hold` until `close`. Make it, and `hold`, under the store lock, shared."""

    def __init__(self, layout: Layout) -> None:
        self._path = os.path.join(layout.leases, f"{os.getpid()}-{os.urandom(4).hex()}")
        self._lock = open_lock(self._path)
        self._lock.exclusive()
        self._held: set[Descriptor] = set()

    def hold(self, descriptor: Descriptor) -> None:
        """From now on no collection takes that content, or what it names. Raises ``OSError``."""
        if descriptor in self._held:
            return
        bare = Descriptor(descriptor.media_type, descriptor.digest, descriptor.size)
        self._lock.append(b"\n" + dump(bare.to_json()))  # on a line of its own, whatever stands before it
        self._held.add(descriptor)

    def close(self) -> None:
        """Give up the hold. Idempotent."""
        remove_file(self._path)
        self._lock.close()


@contextmanager
def holding(layout: Layout, descriptors: Iterable[Descriptor]) -> Iterator[None]:
    """Hold content while the block reads it. Raises ``OSError``; takes the store lock, shared, for a moment."""
    with locks.shared(layout.lock):
        lease = Lease(layout)
        try:
            for descriptor in descriptors:
                lease.hold(descriptor)
        except BaseException:
            lease.close()
            raise
    try:
        yield
    finally:
        lease.close()


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
    try:
        with open(path, "rb") as stream:
            lines = stream.read().splitlines()
    except FileNotFoundError:  # given up just now, for which nobody needs the store lock
        return
    for line in lines:
        with suppress(InvalidInput):  # its process could not write the line whole, and knows
            yield Descriptor.from_json(parse_object(line, "lease"))
