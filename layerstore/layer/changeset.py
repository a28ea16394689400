"""What tar entries mean to a layer. OCI image-spec, layer.md, "Whiteouts" and "Representing Changes".

An entry named ``.wh.X`` becomes a `Kind.WHITEOUT` of ``X``, ``.wh..wh..opq`` a `Kind.OPAQUE` of its
directory, aufs's other ``.wh..wh.*`` are dropped. Nothing that overlayfs would take for a mark of its
own passes: 0:0 character devices and ``{trusted,user}.overlay.*`` attributes of foreign layers are
dropped, or else a layer could hide, redirect or re-expose what lies below it.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from layerstore.errors import InvalidLayer
from layerstore.layer.entry import Entry, Kind
from layerstore.layer.names import shown

WHITEOUT_PREFIX: Final = b".wh."
OPAQUE_NAME: Final = b".wh..wh..opq"
_AUFS_PREFIX: Final = b".wh..wh."
OVERLAY_MARKS: Final = (b"trusted.overlay.", b"user.overlay.")
"""Prefixes of the attributes that overlayfs keeps for itself."""


def read_changes(entries: Iterable[Entry]) -> Iterator[Entry]:
    """The changes that `entries` of a tar make, in their order.

    Raises `InvalidLayer` for whiteouts of nothing, a root that is no directory, and hardlinks to the root.
    """
    for entry in entries:
        kind = entry.kind
        name = entry.path.rpartition(b"/")[2]
        if name.startswith(WHITEOUT_PREFIX):
            if mark := _whiteout(entry.path, name):
                yield mark
            continue
        if not name and kind is not Kind.DIRECTORY:
            raise InvalidLayer(f"cannot use layer: its root entry is a {kind.name.lower()}")
        if kind is Kind.CHARACTER and entry.major == entry.minor == 0:
            continue
        if kind is Kind.HARDLINK and not entry.link:
            raise InvalidLayer(f"cannot use {shown(entry.path)}: a hardlink to the root")
        yield entry._replace(xattrs=_unmarked(entry.xattrs)) if entry.xattrs else entry


def _whiteout(path: bytes, name: bytes) -> Entry | None:
    """What the whiteout at `path` asks for; None for aufs's own bookkeeping."""
    parent = path[: -len(name)]
    if name == OPAQUE_NAME:
        return Entry(parent.rstrip(b"/"), Kind.OPAQUE)
    if name.startswith(_AUFS_PREFIX):
        return None
    hidden = name[len(WHITEOUT_PREFIX) :]
    if hidden in (b"", b".", b".."):
        raise InvalidLayer(f"cannot use whiteout {shown(path)}: it names nothing")
    return Entry(parent + hidden, Kind.WHITEOUT)


def _unmarked(xattrs: Mapping[bytes, bytes]) -> Mapping[bytes, bytes]:
    return {name: value for name, value in xattrs.items() if not name.startswith(OVERLAY_MARKS)}
