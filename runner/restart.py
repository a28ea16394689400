"""Restart policies: whether a container that ended is started again, and after how long. Pure.

The rules are docker's (github.com/moby/moby restartmanager): waiting starts at 100 ms, doubles up to a
minute, and starts over once a container has run for ten seconds.
"""

from __future__ import annotations

from layerstore.errors import UsageError
from layerstore.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    Name = Literal["no", "on-failure", "always", "unless-stopped"]

_NAMES = ("no", "on-failure", "always", "unless-stopped")
_FIRST_WAIT = 0.1
_LONGEST_WAIT = 60.0
_LONG_ENOUGH = 10.0


class RestartPolicy(Value):
    """`name` as docker has it; `most` restarts with "on-failure", 0 for any number."""

    name: Name = "no"
    most: int = 0

    @classmethod
    def parse(cls, text: str) -> RestartPolicy:
        """``no``, ``on-failure[:MOST]``, ``always``, ``unless-stopped``. Raises `UsageError`."""
        name, colon, count = text.partition(":")
        if name not in _NAMES or (colon and (name != "on-failure" or not _is_count(count))):
            raise UsageError(
                f"invalid restart policy {text[:80]!r}: it must be one of {', '.join(_NAMES)}[:MOST]"
            )
        return cls(name, int(count or 0))  # type: ignore[arg-type]  # it is one of the names

    def __str__(self) -> str:
        return f"{self.name}:{self.most}" if self.most else self.name

    def wants_restart(self, status: int, count: int) -> bool:
        """Whether a process that ended by itself, with `status` after `count` restarts, is started again."""
        if self.name == "on-failure":
            return status != 0 and (self.most == 0 or count < self.most)
        return self.name in ("always", "unless-stopped")

    @property
    def survives_reboot(self) -> bool:
        """Whether the container is to run again after the machine was down."""
        return self.name in ("always", "unless-stopped")


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 9


def next_wait(last: float, ran: float) -> float:
    """Seconds to wait, where the last wait was `last` (0 for none) and the process then ran for `ran` seconds."""
    if last <= 0 or ran >= _LONG_ENOUGH:
        return _FIRST_WAIT
    return min(last * 2, _LONGEST_WAIT)
