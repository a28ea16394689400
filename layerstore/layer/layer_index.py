"""One layer's index file: the EROFS image of the layer on its own, then the table of its changes.

The kernel mounts the first part and never looks at the second, which begins where the superblock says
that the image ends.
"""

from collections.abc import Callable, Iterator
from typing import Final

from layerstore.layer import erofs_format as fmt
from layerstore.layer.changes import HEADER_SIZE, ChangeTable, Facts, StoredChanges, decode_facts
from layerstore.layer.changeset import read_changes
from layerstore.layer.entry import Entry
from layerstore.layer.erofs import Device, write_at, write_index
from layerstore.layer.source import Source, TarFile, read_at
from layerstore.layer.standalone import StandaloneLayer
from layerstore.layer.tar import read_entries

MANY: Final = 1 << 15
"""Changes of a layer from which its index, at 0.5 kB for each, is much of the memory that all of a pull may take."""


def write_layer_index(
    source: Source,
    fd: int,
    identity: Callable[[], bytes],
    *,
    userxattr: bool = False,
    await_turn: Callable[[], None] | None = None,
) -> Facts:
    """Index the layer whose tar is `source` into the empty file `fd`.

    `identity` is asked, once the tar is complete, for the 16 bytes or more that become the image's uuid.
    `await_turn` is called before the layer takes more memory than `MANY` changes do.
    Raises what `read_entries`, `read_changes`, `Tree.add` and `write_index` raise.
    """
    layer = StandaloneLayer(userxattr=userxattr)
    table = ChangeTable()
    for change in read_changes(read_entries(source)):
        layer.take(change, table.add(change))
        if table.count == MANY and await_turn is not None:
            await_turn()
    tree = layer.finish()
    size = source.length()
    facts = Facts(table.count, size, layer.stands_alone, layer.is_stackable)
    end = write_index(tree, [Device(source, size)], fd, identity())
    for piece in table.encode(facts):
        write_at(fd, end, piece)
        end += len(piece)
    return facts


def read_layer_facts(fd: int) -> Facts:
    """What the layer index `fd` says of its layer. Raises `StoreDamaged`."""
    return decode_facts(read_at(fd, _image_size(fd), HEADER_SIZE))


def read_layer_changes(fd: int) -> Iterator[Entry]:
    """The changes of the layer whose index is `fd`, in the order of its tar. Raises `StoreDamaged`."""
    return iter(stored_changes(fd))


def stored_changes(fd: int) -> StoredChanges:
    """The same, to be read more than once, while `fd` is open. Raises `StoreDamaged`."""
    return StoredChanges(TarFile(fd), _image_size(fd))


def read_superblock(fd: int) -> fmt.Superblock:
    """The superblock of the index `fd`. Raises `StoreDamaged`."""
    return fmt.Superblock.unpack(read_at(fd, fmt.SUPERBLOCK_OFFSET, fmt.SUPERBLOCK.size))


def _image_size(fd: int) -> int:
    return read_superblock(fd).blocks * fmt.BLOCK_SIZE
