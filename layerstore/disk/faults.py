"""Named crash points: places on a write path where a test may end the process, as a power cut would.

A write path declares its points at module level and reaches them in order::

    _SYNCED = CrashPoint("commit: blobs synced")
    …
    _SYNCED.reach()

Nothing happens unless `arm` was called, which the CLI does where the environment asks for it
(LSTORE_CRASH_AT, see `lstore.cli.settings`).
"""

import os

_points: dict[str, "CrashPoint"] = {}
_armed: dict[str, int] = {}


class CrashPoint:
    """One named place. Names are unique in the process."""

    def __init__(self, name: str) -> None:
        if name in _points:
            raise ValueError(f"crash point {name!r} is declared twice")
        self.name = name
        _points[name] = self

    def reach(self) -> None:
        """Die here by SIGKILL if this is the reach that was armed; else nothing."""
        if self.name not in _armed:
            return
        _armed[self.name] -= 1
        if _armed[self.name] <= 0:
            import signal  # noqa: PLC0415 - few processes die here, and its enumerations take 4 ms

            os.kill(os.getpid(), signal.SIGKILL)


def names() -> tuple[str, ...]:
    """The crash points of every module imported so far, sorted."""
    return tuple(sorted(_points))


def arm(name: str, reach: int = 1) -> None:
    """Let the process die when the point `name` is reached for the `reach`-th time."""
    _armed[name] = reach
