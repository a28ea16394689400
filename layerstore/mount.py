"""The mount stack: what one root filesystem is made of, as a value and without a system call.

Snapshotters emit it and launchers consume it; neither knows the other (containerd's ``core/mount``
taught us that). Stage "mount stack" of docs/flow.md. Carrying it out is `layerstore.snapshot.overlay`'s
and the runner's business. On the path that starts a process, hence `Value` and no ``dataclasses``.
"""

from __future__ import annotations

from layerstore.value import Value


class ErofsImage(Value):
    """A read-only lower that the kernel mounts from files: an EROFS index and the tars it points into.

    `devices` are in the order of the index's device slots (Linux ``fs/erofs/erofs_fs.h``).
    """

    index: str
    devices: tuple[str, ...]


class Directory(Value):
    """A read-only lower that is a directory already."""

    path: str


Lower = ErofsImage | Directory


class MountStack(Value):
    """One root filesystem: `lowers` from the topmost down, and where changes go.

    Without `upper` and `work` the stack is a read-only view. `userxattr` makes overlayfs keep its
    marks in ``user.overlay.*``, as an unprivileged mount must (Linux ``Documentation/filesystems/
    overlayfs.rst``). Where `is_volatile`, what is written is worth nothing after a crash of the machine, and is
    never synced: neither when a process asks for it, nor, with the whole file system, when the stack is unmounted.
    """

    lowers: tuple[Lower, ...]
    upper: str | None = None
    work: str | None = None
    userxattr: bool = False
    is_volatile: bool = False

    @property
    def is_read_only(self) -> bool:
        """Whether nothing can be written through this stack."""
        return self.upper is None

    def volatile(self) -> MountStack:
        """This stack, its changes being of no use after a crash. overlayfs refuses to mount them a second time."""
        return MountStack(self.lowers, self.upper, self.work, self.userxattr, is_volatile=True)
