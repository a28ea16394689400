"""Paths inside a container's root, by descriptor: no link of the image leads out of it.

openat2(2) with RESOLVE_IN_ROOT finds what exists. What has to be created is located first, link by link, as
the kernel would inside the root; then every step is taken with RESOLVE_NO_SYMLINKS, so that a swap by
another process (a shared volume) ends in an error instead of somewhere else (CVE-2021-30465).
"""

from __future__ import annotations

import errno
import os
import stat

from layerstore import linux

# path_resolution(7): the kernel follows at most 40 links.
_MAX_LINKS = 40
_EXACTLY = linux.RESOLVE_IN_ROOT | linux.RESOLVE_NO_SYMLINKS
_FOLLOWING = linux.RESOLVE_IN_ROOT | linux.RESOLVE_NO_MAGICLINKS


def read_file(root: int, path: str, limit: int) -> bytes | None:
    """The content of a regular file, at most `limit` bytes of it; None where there is none.

    A FIFO or device of that name is no file and is not waited for. Raises ``OSError``.
    """
    try:
        fd = linux.openat2(root, path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY, resolve=_FOLLOWING)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO):
            return None
        raise
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return None
        content = b""
        while len(content) < limit and (piece := os.read(fd, limit - len(content))):
            content += piece
        return content
    finally:
        os.close(fd)


def locate(root: int, path: str) -> tuple[str, ...]:
    """The components of `path` with every link resolved inside `root`; the last ones need not exist.

    Raises ``OSError`` ELOOP after 40 links.
    """
    ahead = path.split("/")[::-1]
    behind: list[str] = []
    links = 0
    while ahead:
        name = ahead.pop()
        if name in ("", "."):
            continue
        if name == "..":
            del behind[-1:]
            continue
        target = _link(root, "/".join((*behind, name)))
        if target is None:
            behind.append(name)
            continue
        links += 1
        if links > _MAX_LINKS:
            raise OSError(errno.ELOOP, "too many symbolic links", path)
        if target.startswith("/"):
            behind.clear()
        ahead += target.split("/")[::-1]
    return tuple(behind)


def _link(root: int, path: str) -> str | None:
    """Where the link at the already link-free `path` points, None for anything else or nothing."""
    try:
        fd = linux.openat2(root, path, os.O_PATH | os.O_NOFOLLOW, resolve=_EXACTLY)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return None
        raise
    try:
        return os.readlink("", dir_fd=fd) if stat.S_ISLNK(os.fstat(fd).st_mode) else None
    finally:
        os.close(fd)


def make_directory(root: int, path: str) -> int:
    """An O_PATH descriptor of the directory `path`, made with its parents where it is not there.

    Raises ``OSError``: ELOOP also for a magic link of /proc, which leads wherever its descriptor does.
    """
    try:
        return linux.openat2(root, path, os.O_PATH | os.O_DIRECTORY, resolve=_FOLLOWING)
    except FileNotFoundError:
        return _make_directory(root, locate(root, path))


def _make_directory(root: int, parts: tuple[str, ...]) -> int:
    try:
        return _directory(root, "/".join(parts) or ".")
    except FileNotFoundError:
        parent = _make_directory(root, parts[:-1])
    try:
        os.mkdir(parts[-1], 0o755, dir_fd=parent)
    except FileExistsError:
        pass
    finally:
        os.close(parent)
    return _directory(root, "/".join(parts))


def _directory(root: int, path: str) -> int:
    return linux.openat2(root, path, os.O_PATH | os.O_DIRECTORY, resolve=_EXACTLY)


def make_file(root: int, path: str) -> int:
    """An O_PATH descriptor of the non-directory `path`, made as an empty file where nothing is there.

    Raises ``OSError`` as `make_directory` does.
    """
    try:
        fd = linux.openat2(root, path, os.O_PATH, resolve=_FOLLOWING)
    except FileNotFoundError:
        fd = _make_file(root, locate(root, path))
    kind = os.fstat(fd).st_mode
    if stat.S_ISDIR(kind) or stat.S_ISLNK(kind):
        os.close(fd)
        raise IsADirectoryError(errno.EISDIR, "is no file to mount over", path)
    return fd


def _make_file(root: int, parts: tuple[str, ...]) -> int:
    parent = _make_directory(root, parts[:-1])
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        os.close(os.open(parts[-1], flags, 0o644, dir_fd=parent))
    except FileExistsError:
        pass
    finally:
        os.close(parent)
    return linux.openat2(root, "/".join(parts), os.O_PATH | os.O_NOFOLLOW, resolve=_EXACTLY)
