"""The key of what a COPY takes: the same for the same content, wherever, whenever and by whomever it lies there.

What counts: relative paths, kinds, modes, contents, symlink targets, which names are one file, and file
capabilities; with `Fidelity.EXACT` owners and all portable attributes of files. What does not: times, inodes, the
order in which a directory lists its names, and in a build context the files' owners.
"""

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Final

from layerstore.build.context import Context, Fidelity, Found, is_same
from layerstore.build.digest_cache import DigestCache
from layerstore.build.selection import Selection
from layerstore.content import CHUNK
from layerstore.errors import Conflict, file_error
from layerstore.layer.acl import ACCESS, DEFAULT
from layerstore.layer.changeset import OVERLAY_MARKS
from layerstore.layer.names import shown
from layerstore.oci.digest import Digest
from layerstore.tasks import Cancellation, run_all

CAPABILITY: Final = b"security.capability"
_PORTABLE: Final = (b"user.", b"trusted.", CAPABILITY, ACCESS, DEFAULT)
_VERSION: Final = b"lstore content key 1\0"
_BATCH: Final = 256
"""Small files that one task reads; large ones have a task of their own."""
_LARGE: Final = 1 << 20
_THREADS: Final = 4
_NO_ATTRIBUTE: Final = frozenset({errno.ENODATA, errno.EOPNOTSUPP})


def content_key(
    context: Context, selections: Sequence[Selection], cache: DigestCache | None = None
) -> Digest:
    """The key of `selections` of `context`. Files that `cache` does not know are read, several at a time.

    Raises `Conflict` for files that change meanwhile, `StorageError`.
    """
    files = _file_digests(context, selections, cache)
    hasher = hashlib.sha256(_VERSION)
    first_names: dict[tuple[int, int], str] = {}
    for selection in selections:
        _feed(hasher.update, b"source", os.fsencode(selection.name))
        for target, found in selection.items:
            _feed(hasher.update, *_description(context, target, found, files, first_names))
    return Digest("sha256", hasher.hexdigest())


def _feed(update: Callable[[bytes], object], *fields: bytes) -> None:
    """Fields with their lengths, so that no two lists of fields look alike."""
    update(b"".join(b"%d:%b" % (len(field), field) for field in fields))
    update(b"\n")


def _description(
    context: Context,
    target: str,
    found: Found,
    files: Mapping[str, bytes],
    first_names: dict[tuple[int, int], str],
) -> tuple[bytes, ...]:
    status = found.status
    owner = b"%d:%d" % (status.st_uid, status.st_gid) if context.fidelity is Fidelity.EXACT else b""
    head = (os.fsencode(target), b"%o" % status.st_mode, owner)
    if stat.S_ISREG(status.st_mode):
        if status.st_nlink == 1:
            return (*head, files[found.path])
        first = first_names.setdefault((status.st_dev, status.st_ino), target)
        return (*head, files[found.path], os.fsencode(first))
    if stat.S_ISLNK(status.st_mode):
        return (*head, context.link_target(found))
    if stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
        return (*head, b"%d" % status.st_rdev)
    return head


def _file_digests(
    context: Context, selections: Sequence[Selection], cache: DigestCache | None
) -> dict[str, bytes]:
    """The digest of each regular file, by its path in the context."""
    known: dict[str, bytes] = {}
    unknown: dict[str, Found] = {}
    for selection in selections:
        for _, found in selection.items:
            if stat.S_ISREG(found.status.st_mode):
                digest = cache.find(found.status) if cache is not None else None
                if digest is None:
                    unknown[found.path] = found
                else:
                    known[found.path] = digest
    if unknown:
        started = cache.now() if cache is not None else 0
        for found, digest in _read_all(context, unknown.values()):
            known[found.path] = digest
            if cache is not None:
                cache.remember(found.status, digest, started)
    return known


def _read_all(context: Context, files: Iterable[Found]) -> list[tuple[Found, bytes]]:
    small: list[Found] = []
    large: list[Found] = []
    for found in files:
        (large if found.status.st_size >= _LARGE else small).append(found)
    batches = [[found] for found in large] + [small[i : i + _BATCH] for i in range(0, len(small), _BATCH)]
    cancellation = Cancellation()
    calls = [partial(_read_batch, context, batch, cancellation) for batch in batches]
    results = run_all(calls, limit=_THREADS, cancellation=cancellation)
    return [pair for batch in results for pair in batch]


def _read_batch(
    context: Context, batch: Sequence[Found], cancellation: Cancellation
) -> list[tuple[Found, bytes]]:
    return [(found, _file_digest(context, found, cancellation)) for found in batch]


def _file_digest(context: Context, found: Found, cancellation: Cancellation) -> bytes:
    """SHA-256 of a file's content, or where it has attributes that count, of that and these."""
    fd = context.open(found)
    try:
        hasher = hashlib.sha256()
        while data := os.read(fd, CHUNK):
            cancellation.check()
            hasher.update(data)
        attributes = attributes_of(fd, context.fidelity)
        if not is_same(os.fstat(fd), found.status):
            raise Conflict(
                f"cannot read {shown(os.fsencode(found.path))} in the build context: it changed meanwhile"
            )
    except OSError as error:
        raise file_error(error, f"read {shown(os.fsencode(found.path))} in the build context") from error
    finally:
        os.close(fd)
    if not attributes:
        return hasher.digest()
    whole = hashlib.sha256(hasher.digest())
    for name, value in attributes.items():
        _feed(whole.update, name, value)
    return whole.digest()


def attributes_of(fd: int, fidelity: Fidelity) -> dict[bytes, bytes]:
    """The extended attributes of an open file that count, in byte order of their names. Raises ``OSError``."""
    if fidelity is Fidelity.CONTENT:
        value = _attribute(fd, CAPABILITY)
        return {} if value is None else {CAPABILITY: value}
    names = sorted(map(os.fsencode, os.listxattr(fd)))
    kept = (name for name in names if name.startswith(_PORTABLE) and not name.startswith(OVERLAY_MARKS))
    return {name: os.getxattr(fd, name) for name in kept}


def _attribute(fd: int, name: bytes) -> bytes | None:
    try:
        return os.getxattr(fd, name)
    except OSError as error:
        if error.errno in _NO_ATTRIBUTE:
            return None
        raise
