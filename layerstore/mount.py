"""The mount stack: what one root filesystem is made of, as a value and without a system call.

Snapshotters emit it and launchers consume it; neither knows the other (containerd's ``core/mount``
taught us that). Stage "mount stack" of docs/flow.md. Carrying it out is `layerstore.snapshot.overlay`'s
and the runner's business.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ErofsImage:
    """A read-only lower that the kernel mounts from files: an EROFS index and the tars it points into.

    `devices` are in the order of the index's device slots (Linux ``fs/erofs/erofs_fs.h``).
    """

    index: str
    devices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Directory:
    """A read-only lower that is a directory already."""

    path: str


Lower = ErofsImage | Directory


@dataclass(frozen=True, slots=True)
class MountStack:
    """One root filesystem: `lowers` from the topmost down, and where changes go.

    Without `upper` and `work` the stack is a read-only view. `userxattr` makes overlayfs keep its
    marks in ``user.overlay.*``, as an unprivileged mount must (Linux ``Documentation/filesystems/
    overlayfs.rst``).
    """

    lowers: tuple[Lower, ...]
    upper: str | None = None
    work: str | None = None
    userxattr: bool = False

    @property
    def is_read_only(self) -> bool:
        """Whether nothing can be written through this stack."""
        return self.upper is None
