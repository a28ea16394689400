"""What a driver is: one way to make root filesystems of kept layers.

All drivers keep a layer alike, as its tar and the index over it (`layerstore.snapshot.unpack`); they
differ in what a stack needs beside the layers, and in what the kernel then mounts.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from layerstore.mount import Lower


class RootAttributes(NamedTuple):
    """Permission bits and ids of a root directory."""

    mode: int
    uid: int
    gid: int


class Driver(Protocol):
    """A way to stack layers. Layer directories hold ``tar`` and ``index``, see `layerstore.layer.ingest`."""

    @property
    def name(self) -> str:
        """What ``--driver`` calls it."""
        ...

    @property
    def home(self) -> str:
        """The directory below ``snapshots/`` of what it assembles: what another one has is of no use to it."""
        ...

    @property
    def keeps_owners(self) -> bool:
        """Whether files in its stacks have the owners that the layers say."""
        ...

    @property
    def needs_userxattr(self) -> bool:
        """Whether its stacks are mounted by an unprivileged overlayfs, with marks in ``user.overlay.*``."""
        ...

    def for_steps(self) -> "Driver":
        """The driver, perhaps itself, of stacks that last for a few steps of a build; it may build on this one's."""
        ...

    def assemble(self, layers: Sequence[str], directory: str, parent: str | None) -> None:
        """Write into the empty `directory` what a stack of these layer directories, bottom first, needs.

        `parent` is the directory assembled before for all but some of the topmost layers, where there is
        one: what it has may be shared, not changed. Durable at the end. Raises `InvalidLayer`, `StorageError`.
        """
        ...

    def lowers(self, layers: Sequence[str], directory: str) -> tuple[Lower, ...]:
        """The lowers of that stack, topmost first, once `directory` is assembled."""
        ...

    def root(self, layers: Sequence[str], directory: str) -> RootAttributes:
        """What the root directory of that stack has, which an overlay takes from its upper directory."""
        ...
