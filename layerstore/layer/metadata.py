"""Owner, mode, attributes and times of one inode, set and read without a name that could lead elsewhere."""

import errno
import os
import stat
from typing import Final, NamedTuple

from layerstore import log
from layerstore.errors import InvalidLayer, MissingFeature, UnsupportedContent
from layerstore.layer.acl import ACCESS, DEFAULT
from layerstore.layer.changeset import OVERLAY_MARKS
from layerstore.layer.entry import Entry, Kind
from layerstore.layer.names import shown
from layerstore.layer.ownership import Ownership

_NANO: Final = 10**9
_USER: Final = b"user."
_HAVE_USER_XATTRS: Final = frozenset({Kind.REGULAR, Kind.DIRECTORY})
_INODE: Final = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_KINDS: Final = {
    stat.S_IFREG: Kind.REGULAR,
    stat.S_IFDIR: Kind.DIRECTORY,
    stat.S_IFLNK: Kind.SYMLINK,
    stat.S_IFCHR: Kind.CHARACTER,
    stat.S_IFBLK: Kind.BLOCK,
    stat.S_IFIFO: Kind.FIFO,
}
# What belongs to a file; other attributes (SELinux's label, IMA's digest) belong to the host it is on.
_PORTABLE: Final = (_USER, b"trusted.", b"security.capability", ACCESS, DEFAULT)


def restore(inode: int | bytes, entry: Entry, ownership: Ownership) -> None:
    """Give `inode`, an open file or its name under ``/proc/self/fd``, the metadata of `entry`.

    Raises `MissingFeature` for an owner that the user namespace does not map, `InvalidLayer`, `UnsupportedContent`
    for attributes that the kernel or the file system cannot take, ``OSError``.
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

    A descriptor of the inode alone is taken; the calls that refuse such descriptors take the kernel's own link
    to it instead, which proc(5) never resolves by name. Raises as `restore` does.
    """
    fd = os.open(name, _INODE, dir_fd=directory)
    try:
        restore(b"/proc/self/fd/%d" % fd, entry, ownership)
    finally:
        os.close(fd)


class Observed(NamedTuple):
    """One name in a directory, as it was at a moment."""

    status: os.stat_result
    attributes: dict[bytes, bytes]
    """All extended attributes, in byte order of their names."""
    entry: Entry | None
    """As a layer may have it, without overlayfs's and the host's attributes; None for a socket."""

    @property
    def is_directory(self) -> bool:
        """Whether it is one."""
        return stat.S_ISDIR(self.status.st_mode)


def observe(directory: int, name: bytes, path: bytes) -> Observed | None:
    """`name` in `directory`, whose entry is to be called `path`; None where it is not there. Opens nothing."""
    try:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None
    attributes = _attributes(directory, name)
    kind = _KINDS.get(stat.S_IFMT(status.st_mode))
    if kind is None:
        return Observed(status, attributes, None)
    is_device = kind in (Kind.CHARACTER, Kind.BLOCK)
    entry = Entry(
        path,
        kind,
        stat.S_IMODE(status.st_mode),
        status.st_uid,
        status.st_gid,
        *divmod(status.st_mtime_ns, _NANO),
        size=status.st_size if kind is Kind.REGULAR else 0,
        link=os.readlink(name, dir_fd=directory) if kind is Kind.SYMLINK else b"",
        major=os.major(status.st_rdev) if is_device else 0,
        minor=os.minor(status.st_rdev) if is_device else 0,
        xattrs={each: value for each, value in attributes.items() if _is_portable(each)},
    )
    return Observed(status, attributes, entry)


def _is_portable(attribute: bytes) -> bool:
    return attribute.startswith(_PORTABLE) and not attribute.startswith(OVERLAY_MARKS)


def _attributes(directory: int, name: bytes) -> dict[bytes, bytes]:
    inode = b"/proc/self/fd/%d/%s" % (directory, name)
    try:
        names = sorted(map(os.fsencode, os.listxattr(inode, follow_symlinks=False)))
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        return {}
    return {each: os.getxattr(inode, each, follow_symlinks=False) for each in names}


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


def _has_space(inode: int | bytes) -> bool:
    """Whether the file system is not full: ext4 says that it is where one file's attributes outgrow their block."""
    return os.statvfs(inode).f_bavail > 0


def _set_xattr(inode: int | bytes, entry: Entry, name: bytes, value: bytes, ownership: Ownership) -> None:
    """Set one attribute, as far as the file system, the kind of file and the privilege allow.

    ``user.*`` on what is neither file nor directory has no meaning to the kernel, xattr(7). Raises `InvalidLayer`
    for a value that the kernel understands and finds malformed, `UnsupportedContent` for too many.
    """
    if name.startswith(_USER) and entry.kind not in _HAVE_USER_XATTRS:
        return
    try:
        os.setxattr(inode, name, value)
    except OSError as error:
        if error.errno == errno.EINVAL:
            raise InvalidLayer(
                f"cannot give {shown(entry.path)} the attribute {shown(name)}: its value is malformed"
            ) from error
        if error.errno == errno.ENOSPC and _has_space(inode):
            raise UnsupportedContent(
                f"cannot give {shown(entry.path)} the attribute {shown(name)}: no room for it in this file system",
                hint="lstore --driver erofs …",
            ) from error
        is_refused = error.errno == errno.EPERM and ownership is not Ownership.EXACT
        if not is_refused and error.errno != errno.EOPNOTSUPP:
            raise
        tell = log.warning if ownership is Ownership.EXACT else log.info
        tell(__name__, f"{shown(entry.path)} keeps no attribute {shown(name)}: {error.strerror}")
