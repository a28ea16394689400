"""Waiting until something in a directory changes, or a moment comes."""

from __future__ import annotations

import os
import select

from layerstore import linux

_CHANGES = linux.IN_MODIFY | linux.IN_MOVED_TO | linux.IN_CREATE | linux.IN_DELETE_SELF
_EVENTS = 64 << 10


class Watch:
    """Changes of the files directly in one directory, from now on. A context manager."""

    def __init__(self, directory: str, *others: int) -> None:
        """What can be read from the descriptors `others` counts as a change, too. Raises ``OSError``."""
        self._fd = linux.inotify_init()
        try:
            linux.inotify_add_watch(self._fd, directory, _CHANGES)
        except OSError:
            os.close(self._fd)
            raise
        self._poll = select.poll()
        for fd in (self._fd, *others):
            self._poll.register(fd, select.POLLIN)

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for changes since the last call; whether there were any within `seconds`."""
        ready = self._poll.poll(None if seconds is None else max(0.0, seconds) * 1000)
        if any(fd == self._fd for fd, _ in ready):
            os.read(self._fd, _EVENTS)
        return bool(ready)

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)
