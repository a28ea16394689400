"""What long work reports about itself. The library reports, the CLI draws.

Work is a set of *items*, each named by a key that is stable for the whole operation (a layer's short
digest, say). Methods may be called from any thread and return at once.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing is not free, and this is on the path that starts a container
    from typing import Literal, Protocol

    Phase = Literal[
        "waiting",
        "downloading",
        "resuming",
        "loading",
        "uploading",
        "reading",
        "writing",
        "verifying",
        "unpacking",
        "compressing",
        "done",
        "exists",
        "mounted",
    ]
else:
    Protocol, Phase = object, str


class Progress(Protocol):
    """Receives the state of each item as it changes."""

    def phase(self, key: str, phase: Phase, total: int | None = None) -> None:
        """Item `key` entered `phase`; `total` is its size in bytes where it is known."""

    def advance(self, key: str, amount: int) -> None:
        """`amount` more bytes of item `key` went through in its present phase."""

    def note(self, message: str) -> None:
        """One line worth telling a person, such as a retry or a fall-back."""


class Silent:
    """A `Progress` that nobody watches."""

    def phase(self, key: str, phase: Phase, total: int | None = None) -> None:
        pass

    def advance(self, key: str, amount: int) -> None:
        pass

    def note(self, message: str) -> None:
        pass


SILENT = Silent()


class Loading:
    """A `Progress` over another, for content that comes from this machine: it is loaded, not downloaded."""

    def __init__(self, told: Progress) -> None:
        self._told = told

    def phase(self, key: str, phase: Phase, total: int | None = None) -> None:
        self._told.phase(key, "loading" if phase in ("downloading", "resuming") else phase, total)

    def advance(self, key: str, amount: int) -> None:
        self._told.advance(key, amount)

    def note(self, message: str) -> None:
        self._told.note(message)
