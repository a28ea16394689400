"""A private directory to make something in before it is moved to its place by one rename."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from layerstore.disk.locks import FileLock, open_lock
from layerstore.disk.trees import remove_tree
from layerstore.store.layout import Layout


@contextmanager
def staged(layout: Layout) -> Iterator[str]:
    """An empty directory on the store's file system, gone at the end unless the block moved it away.

    It lies beside the ingests under a lock of its own, so that a collection removes what a killed
    process left of it, and nothing that is in use. Raises ``OSError``.
    """
    home, lock = _make(layout)
    try:
        path = os.path.join(home, "made")
        os.mkdir(path, 0o755)
        yield path
    finally:
        remove_tree(home)
        lock.close()


def _make(layout: Layout) -> tuple[str, FileLock]:
    while True:
        home = os.path.join(layout.ingests, f"staging-{os.urandom(8).hex()}")
        os.mkdir(home, 0o700)
        try:
            lock = open_lock(os.path.join(home, "lock"))
        except FileNotFoundError:  # a collection took the directory for an abandoned one
            continue
        if lock.try_exclusive() and lock.is_current():
            return home, lock
        lock.close()
