"""`cp`: files from a container to the host, and from the host into a container. docker cp's rules of paths.

Both sides are a root's descriptor and a path in it, so the same steps serve either direction.
"""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from functools import partial

from layerstore import linux
from layerstore.errors import NotFound, UsageError, file_error
from layerstore.value import Value
from lstore.engine.containers.archive import Landing, read_tar, write_tar
from lstore.engine.containers.insides import visit
from lstore.engine.containers.look import look
from runner.inside import locate

TYPE_CHECKING = False
if TYPE_CHECKING:
    import tarfile
    from collections.abc import Iterator
    from typing import BinaryIO

    from lstore.engine.engine import Engine

_EXACTLY = linux.RESOLVE_IN_ROOT | linux.RESOLVE_NO_SYMLINKS
_ROOT = (0, 0)
_CONTENT = "content"


class Place(Value):
    """A path as it was written, in a container or, without one, on the host."""

    path: str
    container: str = ""


class CopyOptions(Value):
    """Whether a link at the source's end is followed, and whether owners are kept.

    With owners, root also gets devices and file capabilities of a container's, which else nobody is given.
    """

    follows_link: bool = False
    keeps_owner: bool = False


def copy_out(engine: Engine, source: Place, target: str, options: CopyOptions) -> None:
    """Copy from a container to the host. Raises `NotFound`, `UsageError`, `StorageError`."""
    reader, writer = os.pipe()

    def send(root: int) -> None:
        os.close(reader)
        with open(writer, "wb") as out:
            _send(root, source.path, out, options)

    def receive() -> None:
        os.close(writer)
        owner = None if options.keeps_owner and os.geteuid() == 0 else (os.geteuid(), os.getegid())
        with open(reader, "rb") as stream:
            landed = os.path.abspath(target) + _slash(target)
            _receive(_host_root(), landed, source.path, stream, owner, with_privileges=owner is None)

    visit(engine, look(engine, source.container), send, receive)


def copy_in(engine: Engine, source: str, target: Place, options: CopyOptions) -> None:
    """Copy from the host into a container, where root owns it. Raises as `copy_out`."""
    reader, writer = os.pipe()

    def receive(root: int) -> None:
        os.close(writer)
        owner = None if options.keeps_owner else _ROOT
        with open(reader, "rb") as stream:
            _receive(root, target.path, source, stream, owner, with_privileges=True)

    def send() -> None:
        os.close(reader)
        with open(writer, "wb") as out:
            _send(_host_root(), os.path.abspath(source) + _slash(source), out, options)

    visit(engine, look(engine, target.container), receive, send)


def archive_out(engine: Engine, source: Place, out: BinaryIO, options: CopyOptions) -> None:
    """Write what is in a container as a tar to `out`. Raises as `copy_out`."""

    def send(root: int) -> None:
        name = os.path.basename(os.path.normpath(source.path)) or "."
        _send(root, source.path, out, options, arcname=name)
        out.flush()

    visit(engine, look(engine, source.container), send)


def archive_in(engine: Engine, stream: BinaryIO, target: Place, options: CopyOptions) -> None:
    """Unpack the tar `stream` in a directory of a container. Raises as `copy_out`, and `InvalidArchive`."""

    def receive(root: int) -> None:
        with _complaining(target.path):
            parts = locate(root, target.path)
            directory = linux.openat2(
                root, "/".join(parts) or ".", os.O_PATH | os.O_DIRECTORY, resolve=_EXACTLY
            )
            read_tar(stream, lambda _info: Landing(directory), owner=None, with_privileges=True)

    visit(engine, look(engine, target.container), receive)


def _host_root() -> int:
    return os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def _slash(path: str) -> str:
    """What ``abspath`` takes away, and means something to docker."""
    return next((end for end in ("/.", "/") if path.endswith(end)), "/." if path == "." else "")


@contextmanager
def _complaining(path: str) -> Iterator[None]:
    """An ``OSError`` inside comes out as the error of a path that somebody wrote."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFound(f"no such file or directory: {path}") from error
    except BrokenPipeError:
        raise
    except OSError as error:
        raise file_error(error, f"copy {path}") from error


def _send(root: int, path: str, out: BinaryIO, options: CopyOptions, *, arcname: str = _CONTENT) -> None:
    """Write what is at `path` in `root` as a tar, its top named `arcname`."""
    with _complaining(path):
        follows = options.follows_link or path.endswith(("/", "/."))
        parent_path, name = os.path.split(path.rstrip("/"))
        parts = (
            locate(root, path) if follows or name in ("", ".", "..") else (*locate(root, parent_path), name)
        )
        parent = linux.openat2(
            root, "/".join(parts[:-1]) or ".", os.O_PATH | os.O_DIRECTORY, resolve=_EXACTLY
        )
        try:
            write_tar(out, parent, parts[-1] if parts else ".", arcname)
        finally:
            os.close(parent)


def _receive(
    root: int,
    target: str,
    source: str,
    stream: BinaryIO,
    owner: tuple[int, int] | None,
    *,
    with_privileges: bool,
) -> None:
    """Unpack what `_send` wrote of `source` to where `target`, in `root`, says."""
    with _complaining(target):
        read_tar(stream, partial(_land, root, target, source), owner=owner, with_privileges=with_privileges)


def _land(root: int, target: str, source: str, first: tarfile.TarInfo) -> Landing:
    """docker cp's rules: into a directory that is there, under the source's name; else as that name itself."""
    parts = locate(root, target)
    kind = _kind(root, parts)
    copies_contents = source.endswith("/.") or source == "."
    if kind == stat.S_IFDIR:
        name = () if copies_contents and first.isdir() else (os.path.basename(os.path.normpath(source)),)
        return Landing(_directory(root, parts), 1, name)
    if kind is not None and first.isdir():
        raise UsageError(f"cannot copy a directory to {target}: it is a file")
    if kind is None and target.endswith("/") and not first.isdir():
        raise NotFound(f"no such directory: {target}")
    return Landing(_directory(root, parts[:-1]), 1, parts[-1:])


def _kind(root: int, parts: tuple[str, ...]) -> int | None:
    """The type of file at the link-free `parts`, None where there is none."""
    try:
        fd = linux.openat2(root, "/".join(parts) or ".", os.O_PATH | os.O_NOFOLLOW, resolve=_EXACTLY)
    except FileNotFoundError:
        return None
    try:
        return stat.S_IFMT(os.fstat(fd).st_mode)
    finally:
        os.close(fd)


def _directory(root: int, parts: tuple[str, ...]) -> int:
    return linux.openat2(root, "/".join(parts) or ".", os.O_PATH | os.O_DIRECTORY, resolve=_EXACTLY)
