"""A user namespace made for nothing but its ids: an id-mapped mount takes them from it.

mount_setattr(2), "ID-mapped mounts"; user_namespaces(7). A file's id on disk is an id inside, what the mount
shows is the one outside.
"""

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from layerstore import linux
from layerstore.errors import MissingFeature, UsageError
from layerstore.linux import signals
from runner.namespaces import Extent, IdMap


@contextmanager
def opened_user_namespace(ids: IdMap) -> Iterator[int]:
    """The descriptor of a user namespace with exactly these ids; it lives as long as a mount needs it.

    Raises `UsageError` for extents that overlap or have no ids, `MissingFeature` without the privilege.
    """
    try:
        users = _make(ids)
    except OSError as error:
        if error.errno == errno.EINVAL:
            raise UsageError("cannot map these ids: ranges overlap, are empty, or are too many") from error
        raise MissingFeature(f"cannot map ids: {(error.strerror or str(error)).lower()}") from error
    try:
        yield users
    finally:
        os.close(users)


def _make(ids: IdMap) -> int:
    """A child is born into the namespace, which is kept when the child ends."""
    reader, writer = os.pipe()
    try:
        pid, pidfd = linux.clone3(linux.CLONE_NEWUSER)
        if pid == 0:
            _wait_for_the_end(reader, writer)
    except OSError:
        os.close(writer)
        raise
    finally:
        os.close(reader)
    os.close(pidfd)
    try:
        _write_map(pid, "uid_map", ids.uids)
        _write_map(pid, "gid_map", ids.gids)
        return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(writer)
        os.waitpid(pid, 0)


def _wait_for_the_end(reader: int, writer: int) -> None:
    """The child's whole life: until the other end of the pipe is closed."""
    try:
        linux.prctl(linux.PR_SET_PDEATHSIG, signals.SIGKILL)
        os.close(writer)
        os.read(reader, 1)
    finally:
        os._exit(0)


def _write_map(pid: int, name: str, extents: Sequence[Extent]) -> None:
    """All lines in one write(2), as user_namespaces(7) demands."""
    lines = "".join(f"{each.inside} {each.outside} {each.count}\n" for each in extents)
    with open(f"/proc/{pid}/{name}", "wb", buffering=0) as file:
        file.write(lines.encode())
