"""Files whose content an image stores more than once, in whatever layers.

Only files of equal size are read, and of those only the first bytes unless these are equal too. Empty and
sparse files are left out.
"""

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import partial
from typing import Final, TypeVar

from layerstore.dataclass import dataclass
from layerstore.oci.digest import Digest
from layerstore.tasks import run_all
from lstore.engine.file_content import Content, content_digest
from lstore.engine.ledger import Stored

_HEAD: Final = 4096
"""Bytes by which files of one size are told apart first."""
_BATCH: Final = 256
"""Files that one task reads: enough to make a thread's start cheap."""

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Duplicate:
    """One content and all the files that store it, at least two, by layer and path."""

    digest: Digest
    files: tuple[Stored, ...]

    @property
    def size(self) -> int:
        """Bytes of the content."""
        return self.files[0].size

    @property
    def extra(self) -> int:
        """Bytes stored beyond one copy."""
        return self.size * (len(self.files) - 1)


def find_duplicates(
    files: Iterable[Stored], tars: Sequence[int], *, limit: int | None = None
) -> tuple[Duplicate, ...]:
    """Every content that `files` store at least twice, the one with most extra bytes first.

    `tars` are the layers' tars, by layer; at most `limit` threads (one per processor) read them at once.
    Raises `StoreDamaged`, `StorageError`.
    """
    threads = limit or os.cpu_count() or 1
    candidates = _shared([(each.entry.size, each) for each in files if each.size and not each.entry.sparse])
    heads = _shared(_keyed(candidates, partial(_head, tars), threads))
    digests = _grouped(_keyed(heads, partial(_digest, tars), threads))
    found = [
        Duplicate(digest, tuple(sorted(group, key=lambda each: (each.layer, each.path))))
        for digest, group in digests.items()
        if len(group) > 1
    ]
    return tuple(sorted(found, key=lambda each: (-each.extra, each.files[0].path)))


def _keyed(files: Sequence[Stored], key: Callable[[Stored], K], threads: int) -> list[tuple[K, Stored]]:
    """Each file with its key, computed side by side."""

    def keys(batch: Sequence[Stored]) -> list[tuple[K, Stored]]:
        return [(key(each), each) for each in batch]

    starts = range(0, len(files), _BATCH)
    batches = run_all([partial(keys, files[start : start + _BATCH]) for start in starts], limit=threads)
    return [pair for batch in batches for pair in batch]


def _grouped(pairs: Iterable[tuple[K, Stored]]) -> dict[K, list[Stored]]:
    groups: dict[K, list[Stored]] = defaultdict(list)
    for key, each in pairs:
        groups[key].append(each)
    return groups


def _shared(pairs: Iterable[tuple[K, Stored]]) -> list[Stored]:
    """The files that are not alone with their key."""
    return [each for group in _grouped(pairs).values() if len(group) > 1 for each in group]


def _head(tars: Sequence[int], file: Stored) -> tuple[int, bytes]:
    size = min(file.entry.size, _HEAD)
    data = Content(file.entry, tars[file.layer]).read(0, size)
    return file.entry.size, hashlib.sha256(data).digest()


def _digest(tars: Sequence[int], file: Stored) -> Digest:
    return content_digest(Content(file.entry, tars[file.layer]))
