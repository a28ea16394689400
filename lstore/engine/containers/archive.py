"""Files of a container as a tar stream, and back: what `cp` moves. By descriptors, and never through a link.

Members are read and made relative to a directory's descriptor, each step without following a symbolic link,
so whoever swaps one in meanwhile gets an error instead of another file (CVE-2018-15664). What cannot be
copied (sockets) is left out. Of the extended attributes the users' own and file capabilities are kept, as the
records SCHILY.xattr of other tools.
"""

from __future__ import annotations

import bz2
import errno
import lzma
import os
import stat
import tarfile
import zlib
from contextlib import contextmanager, suppress

from layerstore import linux
from layerstore.errors import InvalidArchive, UsageError
from layerstore.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

# What tarfile imports when it meets a compressed archive: too late in a process that looks into a container.
_DECOMPRESSORS = (bz2, lzma, zlib)
_CHUNK = 1 << 20
_INSIDE = linux.RESOLVE_BENEATH | linux.RESOLVE_NO_SYMLINKS
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MAX_DEPTH = 4096
_XATTR = "SCHILY.xattr."
_CAPABILITY = "security.capability"
_NO_XATTRS = frozenset({errno.ENOTSUP, errno.EPERM, errno.EACCES})


def write_tar(stream: BinaryIO, parent: int, name: str, arcname: str) -> None:
    """Write `name` of the directory descriptor `parent`, and all below it, as `arcname`. Raises ``OSError``."""
    with tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT, encoding="utf-8") as tar:
        _add(tar, parent, name, arcname, {}, 0)


def _add(
    tar: tarfile.TarFile, parent: int, name: str, arcname: str, seen: dict[tuple[int, int], str], depth: int
) -> None:
    if depth > _MAX_DEPTH:
        raise OSError(errno.ELOOP, "directories are nested too deep", arcname)
    status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    info = _member(arcname, status)
    if info is None:
        return
    identity = (status.st_dev, status.st_ino)
    if info.isreg() and status.st_nlink > 1 and identity in seen:
        info.type, info.linkname, info.size = tarfile.LNKTYPE, seen[identity], 0
        tar.addfile(info)
    elif info.isreg():
        seen[identity] = arcname
        with open(os.open(name, _FILE, dir_fd=parent), "rb") as content:
            info.pax_headers = _xattrs(content.fileno())
            tar.addfile(info, _Exactly(content, info.size))
    elif info.issym():
        info.linkname = os.readlink(name, dir_fd=parent)
        tar.addfile(info)
    elif info.isdir():
        fd = os.open(name, _DIRECTORY, dir_fd=parent)
        try:
            info.pax_headers = _xattrs(fd)
            tar.addfile(info)
            for child in sorted(os.listdir(fd)):
                _add(tar, fd, child, f"{arcname}/{child}", seen, depth + 1)
        finally:
            os.close(fd)
    else:
        tar.addfile(info)


def _xattrs(fd: int) -> dict[str, str]:
    """The extended attributes of a file that are copied, as records of a tar."""
    try:
        names = [name for name in os.listxattr(fd) if _is_copied(name)]
        return {_XATTR + name: os.getxattr(fd, name).decode("utf-8", "surrogateescape") for name in names}
    except OSError as error:
        if error.errno in (*_NO_XATTRS, errno.ENODATA):
            return {}
        raise


def _is_copied(name: str) -> bool:
    return name.startswith("user.") or name == _CAPABILITY


def _set_xattrs(fd: int, info: tarfile.TarInfo, *, with_privileges: bool) -> None:
    """Give a file the attributes that its member has, as far as the file system and our rights go."""
    for record, text in info.pax_headers.items():
        name = record.removeprefix(_XATTR)
        if name == record or not _is_copied(name) or (name == _CAPABILITY and not with_privileges):
            continue
        try:
            os.setxattr(fd, name, text.encode("utf-8", "surrogateescape"))
        except OSError as error:
            if error.errno not in _NO_XATTRS:
                raise


class _Exactly:
    """So many bytes of a file that others may write to meanwhile: cut off, or filled up with zeros."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream = stream
        self._left = size

    def read(self, size: int = -1) -> bytes:
        wanted = self._left if size < 0 else min(size, self._left)
        data = self._stream.read(wanted)
        self._left -= wanted
        return data.ljust(wanted, b"\0")


def _member(arcname: str, status: os.stat_result) -> tarfile.TarInfo | None:
    kinds = {
        stat.S_IFREG: tarfile.REGTYPE,
        stat.S_IFDIR: tarfile.DIRTYPE,
        stat.S_IFLNK: tarfile.SYMTYPE,
        stat.S_IFIFO: tarfile.FIFOTYPE,
        stat.S_IFCHR: tarfile.CHRTYPE,
        stat.S_IFBLK: tarfile.BLKTYPE,
    }
    kind = kinds.get(stat.S_IFMT(status.st_mode))
    if kind is None:
        return None
    info = tarfile.TarInfo(arcname)
    info.type = kind
    info.size = status.st_size if kind == tarfile.REGTYPE else 0
    info.mode = stat.S_IMODE(status.st_mode)
    info.uid, info.gid = status.st_uid, status.st_gid
    info.mtime = int(status.st_mtime)
    if kind in (tarfile.CHRTYPE, tarfile.BLKTYPE):
        info.devmajor, info.devminor = os.major(status.st_rdev), os.minor(status.st_rdev)
    return info


class Landing(Value):
    """Where members go: into `directory`, a descriptor, their first `stripped` components replaced by `prefix`."""

    directory: int
    stripped: int = 0
    prefix: tuple[str, ...] = ()


def read_tar(
    stream: BinaryIO,
    land: Callable[[tarfile.TarInfo], Landing],
    *,
    owner: tuple[int, int] | None,
    with_privileges: bool,
) -> None:
    """Unpack the tar `stream`, which may be compressed, to where `land` says of its first member.

    A directory joins one that is there, everything else takes the place of what is there. All is owned by
    `owner`, or with None as the members say. Devices and file capabilities are privileges: they are made, as far as
    the caller may, only with `with_privileges`. Raises `InvalidArchive`, also for a member that would be outside,
    `UsageError` for a device that cannot be made, and ``OSError``.
    """
    try:
        with tarfile.open(fileobj=stream, mode="r|*", encoding="utf-8") as tar:
            unpacking = None
            for info in tar:
                unpacking = unpacking or _Unpacking(tar, land(info), owner, with_privileges=with_privileges)
                unpacking.take(info)
            if unpacking is not None:
                unpacking.finish()
    except tarfile.TarError as error:
        raise InvalidArchive(f"cannot read the archive: {error}") from error


class _Unpacking:
    """One archive on its way to the disk."""

    def __init__(
        self, tar: tarfile.TarFile, landing: Landing, owner: tuple[int, int] | None, *, with_privileges: bool
    ) -> None:
        self._tar = tar
        self._landing = landing
        self._owner = owner
        self._with_privileges = with_privileges
        self._directories: list[tuple[tarfile.TarInfo, tuple[str, ...]]] = []

    def take(self, info: tarfile.TarInfo) -> None:
        """Make one member."""
        parts = self._parts(info.name)
        if not parts:
            return
        top, ids = self._landing.directory, self._owner or (info.uid, info.gid)
        with _opened(top, parts[:-1], self._owner or (0, 0)) as parent:
            if info.isdir():
                _make_directory(parent, parts[-1], ids)
                self._directories.append((info, parts))
                return
            with suppress(FileNotFoundError):
                os.unlink(parts[-1], dir_fd=parent)
            self._make(info, parent, parts[-1], ids)

    def _make(self, info: tarfile.TarInfo, parent: int, name: str, ids: tuple[int, int]) -> None:
        if info.isreg():
            self._make_file(info, parent, name, ids)
        elif info.issym():
            os.symlink(info.linkname, name, dir_fd=parent)
            os.chown(name, *ids, dir_fd=parent, follow_symlinks=False)
        elif info.islnk():
            target = self._parts(info.linkname)
            with _opened(self._landing.directory, target[:-1], ids) as source:
                os.link(target[-1], name, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
        elif info.isfifo():
            os.mkfifo(name, info.mode & 0o7777, dir_fd=parent)
            os.chown(name, *ids, dir_fd=parent, follow_symlinks=False)
        else:
            self._make_device(info, parent, name, ids)

    def _make_file(self, info: tarfile.TarInfo, parent: int, name: str, ids: tuple[int, int]) -> None:
        content = self._tar.extractfile(info)
        fd = os.open(name, _NEW, 0o600, dir_fd=parent)
        with open(fd, "wb") as file:
            while content is not None and (piece := content.read(_CHUNK)):
                file.write(piece)
            file.flush()
            os.fchown(fd, *ids)
            os.fchmod(fd, info.mode & 0o7777)
            _set_xattrs(
                fd, info, with_privileges=self._with_privileges
            )  # a change of owner takes capabilities away
            os.utime(fd, (info.mtime, info.mtime))

    def _make_device(self, info: tarfile.TarInfo, parent: int, name: str, ids: tuple[int, int]) -> None:
        if not self._with_privileges:
            raise UsageError(f"cannot copy {info.name[:200]!r}: it is a device", hint="lstore cp --archive …")
        kind = stat.S_IFCHR if info.ischr() else stat.S_IFBLK
        try:
            os.mknod(name, kind | info.mode & 0o7777, os.makedev(info.devmajor, info.devminor), dir_fd=parent)
        except PermissionError as error:
            raise UsageError(f"cannot copy {info.name[:200]!r}: only root may make devices") from error
        os.chown(name, *ids, dir_fd=parent, follow_symlinks=False)

    def finish(self) -> None:
        """Modes and times of directories, once nothing is put into them any more."""
        for info, parts in reversed(self._directories):
            fd = linux.openat2(
                self._landing.directory, "/".join(parts), os.O_RDONLY | os.O_DIRECTORY, resolve=_INSIDE
            )
            try:
                os.fchmod(fd, info.mode & 0o7777)
                _set_xattrs(fd, info, with_privileges=self._with_privileges)
                os.utime(fd, (info.mtime, info.mtime))
            finally:
                os.close(fd)

    def _parts(self, name: str) -> tuple[str, ...]:
        parts = _parts(name)
        return self._landing.prefix + parts[self._landing.stripped :]


def _parts(name: str) -> tuple[str, ...]:
    """The components of a member's name. Raises `InvalidArchive` for one that climbs."""
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if ".." in parts:
        raise InvalidArchive(f"cannot unpack {name[:200]!r}: it leads outside")
    return parts


def _make_directory(parent: int, name: str, ids: tuple[int, int]) -> None:
    try:
        os.mkdir(name, 0o700, dir_fd=parent)
    except FileExistsError:
        if stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
            return
        os.unlink(name, dir_fd=parent)
        os.mkdir(name, 0o700, dir_fd=parent)
    os.chown(name, *ids, dir_fd=parent, follow_symlinks=False)


@contextmanager
def _opened(top: int, parts: tuple[str, ...], ids: tuple[int, int]) -> Iterator[int]:
    """The directory of `parts` below `top`, made where it is missing."""
    fd = os.dup(top)
    try:
        for name in parts:
            below = _step(fd, name, ids)
            os.close(fd)
            fd = below
        yield fd
    finally:
        os.close(fd)


def _step(parent: int, name: str, ids: tuple[int, int]) -> int:
    try:
        return os.open(name, _DIRECTORY, dir_fd=parent)
    except FileNotFoundError:
        os.mkdir(name, 0o755, dir_fd=parent)
        os.chown(name, *ids, dir_fd=parent, follow_symlinks=False)
        return os.open(name, _DIRECTORY, dir_fd=parent)
