"""The lines of ``lstore ls``: the files of an image as GNU ``ls -l`` shows them, owners as numbers, times in UTC."""

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from layerstore.layer.entry import Kind
from layerstore.layer.erofs_format import FILE_MODE
from lstore.cli.format import Columns
from lstore.cli.template.nodes import Row
from lstore.engine.browse import Found

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HEADINGS = {
    "Mode": "MODE",
    "Links": "LINKS",
    "UID": "UID",
    "GID": "GID",
    "Size": "SIZE",
    "ModifiedAt": "MODIFIED",
    "Name": "NAME",
    "Path": "PATH",
    "Target": "TARGET",
    "Type": "TYPE",
}
COLUMNS = Columns(_HEADINGS, ("Mode", "UID", "GID", "Size", "ModifiedAt", "Path"))
_DEVICES = (Kind.CHARACTER, Kind.BLOCK)


def row(top: Found | None, found: Found) -> Row:
    """The fields of one file, for ``--format``; `top` is the directory that it was found in."""
    inode = found.inode
    directory = b"" if top is None else top.path.rstrip(b"/") + b"/"
    return {
        "GID": str(inode.gid),
        "Links": str(inode.links),
        "Mode": _mode(found),
        "ModifiedAt": _time(found, "%Y-%m-%dT%H:%M:%SZ"),
        "Name": os.fsdecode(found.path.rstrip(b"/").rpartition(b"/")[2]),
        "Path": os.fsdecode(directory + found.path),
        "Size": str(inode.size),
        "Target": os.fsdecode(found.target),
        "Type": inode.kind.name.lower(),
        "UID": str(inode.uid),
    }


def long_lines(inside: Iterable[Found], show: Callable[[bytes], str]) -> Iterator[str]:
    """The lines of ``ls -l``, columns as wide as they need to be; `show` makes text of names."""
    rows = [(_cells(found), found) for found in inside]
    widths = [max(map(len, column)) for column in zip(*(cells for cells, _ in rows), strict=True)]
    for cells, found in rows:
        target = f" -> {show(found.target)}" if found.inode.kind is Kind.SYMLINK else ""
        yield f"{_aligned(cells, widths)} {_time(found, '%Y-%m-%d %H:%M')} {show(found.path)}{target}"


def _cells(found: Found) -> Sequence[str]:
    inode = found.inode
    size = ", ".join(map(str, inode.device)) if inode.kind in _DEVICES else str(inode.size)
    return _mode(found), str(inode.links), str(inode.uid), str(inode.gid), size


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    return " ".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))


def _mode(found: Found) -> str:
    return stat.filemode(FILE_MODE[found.inode.kind] | found.inode.mode)


def _time(found: Found, form: str) -> str:
    """The time of modification; seconds since the epoch where no calendar has the year."""
    try:
        return (_EPOCH + timedelta(seconds=found.inode.mtime)).strftime(form)
    except OverflowError:
        return str(found.inode.mtime)
