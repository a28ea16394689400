"""From what ``lstore build`` is pointed at to a directory and a Dockerfile: directory, git URL, or standard input.

What comes over a pipe or from a repository is hostile: archives are unpacked by the same machinery as layers,
and a Dockerfile inside a context is opened without leaving it.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, BinaryIO, Final

from layerstore.build.cache import BuildCache
from layerstore.build.source import MAX_DOCKERFILE
from layerstore.build.source_kind import SourceKind, source_kind
from layerstore.content import CHUNK
from layerstore.dataclass import dataclass
from layerstore.errors import InvalidArchive, LimitExceeded, NotFound, UsageError, file_error
from layerstore.linux.files import RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS, openat2

if TYPE_CHECKING:
    from lstore.engine.engine import Engine

STDIN: Final = "-"
_DEFAULT: Final = "Dockerfile"
_INSIDE: Final = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a build reads: the context's directory, None where there is none, and the Dockerfile's bytes.

    `dockerfile_name` is its path relative to the context.
    """

    context: str | None
    dockerfile: bytes
    dockerfile_name: str


@contextmanager
def opened_inputs(engine: "Engine", context: str, file: str | None, stdin: BinaryIO) -> Iterator[Inputs]:
    """The inputs that `context` (a directory, a URL, or ``-``) and ``--file`` mean, for the block.

    Raises `NotFound`, `UsageError`, `InvalidArchive`, `Unreachable`, `MissingFeature`, `LimitExceeded`.
    """
    if context == STDIN and file == STDIN:
        raise UsageError("invalid argument: can't use stdin for both build context and dockerfile")
    with ExitStack() as opened:
        if context == STDIN:
            yield _from_stdin(engine, file, stdin, opened)
            return
        is_local = source_kind(context) is SourceKind.PATH
        directory = os.path.abspath(context) if is_local else _fetched(engine, context, opened)
        if file == STDIN:
            yield Inputs(directory, _bounded(stdin, "standard input"), _DEFAULT)
        elif is_local and file is not None:
            yield _with_file(directory, file)
        else:
            name = file or _DEFAULT
            yield Inputs(directory, _read_inside(directory, name), name)


def _with_file(directory: str, file: str) -> Inputs:
    """A Dockerfile that is named relative to our own directory, wherever it is, as with docker."""
    path = os.path.abspath(file)
    try:
        with open(path, "rb") as stream:
            raw = _bounded(stream, file)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            raise NotFound(f"failed to read dockerfile: no file {file}") from error
        raise file_error(error, f"read {file}") from error
    inside = os.path.relpath(path, directory)
    return Inputs(directory, raw, os.path.basename(path) if inside.startswith("..") else inside)


def _read_inside(directory: str, name: str) -> bytes:
    try:
        root = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            raise NotFound(f"unable to prepare context: no directory {directory}") from error
        raise file_error(error, f"open {directory}") from error
    try:
        with os.fdopen(openat2(root, name, os.O_RDONLY | os.O_NONBLOCK, resolve=_INSIDE), "rb") as stream:
            return _bounded(stream, name)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            hint = f"lstore build -f FILE {directory}"
            raise NotFound(f"failed to read dockerfile: no {name} in {directory}", hint=hint) from error
        raise file_error(error, f"read {name} in {directory}") from error
    finally:
        os.close(root)


def _bounded(stream: BinaryIO, name: str) -> bytes:
    raw = stream.read(MAX_DOCKERFILE + 1)
    if len(raw) > MAX_DOCKERFILE:
        raise LimitExceeded(f"{name} has more than {MAX_DOCKERFILE} bytes")
    return raw


def _scratch(engine: "Engine", opened: ExitStack) -> str:
    """An empty directory until `opened` closes."""
    import tempfile

    cache = BuildCache(engine.store.layout)
    cache.create()
    return opened.enter_context(tempfile.TemporaryDirectory(dir=cache.downloads))


def _fetched(engine: "Engine", url: str, opened: ExitStack) -> str:
    """The directory of a remote context: a repository's, or an archive's."""
    from lstore.engine.build.remote import check_out, download

    directory = _scratch(engine, opened)
    if source_kind(url) is SourceKind.GIT:
        return check_out(url, directory).path
    path = os.path.join(directory, download(url, directory, None))
    target = _scratch(engine, opened)
    if not _unpack(path, directory, target):
        raise InvalidArchive(f"cannot use {url} as a build context: it is no archive")
    return target


def _from_stdin(engine: "Engine", file: str | None, stdin: BinaryIO, opened: ExitStack) -> Inputs:
    """An archive as the context, or a Dockerfile alone."""
    from layerstore.layer.codec import MAX_LAYER_SIZE

    scratch = _scratch(engine, opened)
    path = os.path.join(scratch, "stdin")
    with open(path, "wb") as spool:
        size = 0
        while chunk := stdin.read(CHUNK):
            size += len(chunk)
            if size > MAX_LAYER_SIZE:
                raise LimitExceeded("the build context on standard input is too large")
            spool.write(chunk)
    target = _scratch(engine, opened)
    if _unpack(path, scratch, target):
        name = file or _DEFAULT
        return Inputs(target, _read_inside(target, name), name)
    with open(path, "rb") as spool:
        return Inputs(None, _bounded(spool, "standard input"), _DEFAULT)


def _unpack(path: str, scratch: str, target: str) -> bool:
    """Whether the file is an archive, which then is unpacked into the empty directory `target`."""
    from layerstore.build.tar_context import HEAD_SIZE, is_tar, unpack_tar_context

    with open(path, "rb") as file:
        if not is_tar(file.read(HEAD_SIZE)):
            return False
    directory = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        unpack_tar_context(path, directory, scratch)
    finally:
        os.close(directory)
    return True
