"""Owner, mode, attributes and times of one inode, set without a name that could lead elsewhere."""

import errno
import logging
import os
from typing import Final

from layerstore.errors import MissingFeature
from layerstore.layer.acl import ACCESS, DEFAULT
from layerstore.layer.entry import Entry, Kind
from layerstore.layer.names import shown
from layerstore.layer.ownership import Ownership

_log = logging.getLogger(__name__)

_NANO: Final = 10**9
_USER: Final = b"user."
_HAVE_USER_XATTRS: Final = frozenset({Kind.REGULAR, Kind.DIRECTORY})
_INODE: Final = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


def restore(inode: int | bytes, entry: Entry, ownership: Ownership) -> None:
    """Give `inode`, an open file or its name under ``/proc/self/fd``, the metadata of `entry`.

    Raises `MissingFeature` for an owner that the user namespace does not map, ``OSError``.
    """
    # The kernel's order: a change of owner clears set-id bits and file capabilities, a change of mode
    # rewrites the mask of an ACL.
    if ownership is not Ownership.IGNORED:
        _set_owner(inode, entry)
    if entry.kind is not Kind.SYMLINK:
        os.chmod(inode, entry.mode)
    for name, value in entry.xattrs.items():
        _set_xattr(inode, entry, name, value, ownership)
    time = entry.mtime * _NANO + entry.nsec
    os.utime(inode, ns=(time, time))


def restore_at(directory: int, name: bytes, entry: Entry, ownership: Ownership) -> None:
    """`restore` for what cannot be opened, or does something when it is: symlinks, devices, FIFOs.

    A descriptor of the inode alone is taken; the calls that refuse such descriptors take the kernel's own
    link to it instead, which proc(5) never resolves by name.
    """
    fd = os.open(name, _INODE, dir_fd=directory)
    try:
        restore(b"/proc/self/fd/%d" % fd, entry, ownership)
    finally:
        os.close(fd)


def make_plain(directory: int) -> None:
    """Take from an open directory all that new files in it would inherit: the set-group-id bit, a default ACL."""
    for name in (DEFAULT, ACCESS):
        try:
            os.removexattr(directory, name)
        except OSError as error:
            if error.errno not in (errno.ENODATA, errno.EOPNOTSUPP):
                raise
    os.chmod(directory, 0o700)


def _set_owner(inode: int | bytes, entry: Entry) -> None:
    try:
        os.chown(inode, entry.uid, entry.gid)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise MissingFeature(
            f"cannot give {shown(entry.path)} to {entry.uid}:{entry.gid}: this user namespace lacks that id",
            hint='sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 "$USER"',
        ) from error


def _set_xattr(inode: int | bytes, entry: Entry, name: bytes, value: bytes, ownership: Ownership) -> None:
    """Set one attribute, as far as the file system, the kind of file and the privilege allow.

    ``user.*`` on what is neither file nor directory has no meaning to the kernel, xattr(7).
    """
    if name.startswith(_USER) and entry.kind not in _HAVE_USER_XATTRS:
        return
    try:
        os.setxattr(inode, name, value)
    except OSError as error:
        is_refused = error.errno == errno.EPERM and ownership is not Ownership.EXACT
        if not is_refused and error.errno != errno.EOPNOTSUPP:
            raise
        _log.info("%s keeps no attribute %s: %s", shown(entry.path), shown(name), error.strerror)
