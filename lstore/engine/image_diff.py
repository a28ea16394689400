"""`diff`: how one image's files differ from another's, and which layers both have."""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple

from layerstore.dataclass import dataclass
from layerstore.layer.entry import Entry, Kind
from layerstore.layer.tree import Node, Tree
from layerstore.oci.platform import Platform
from layerstore.progress import SILENT, Progress
from lstore.engine.file_content import Content, is_same_content
from lstore.engine.ledger import Letter
from lstore.engine.open_image import OpenImage, open_image

if TYPE_CHECKING:
    from lstore.engine.engine import Engine

Aspect = Literal["type", "mode", "owner", "size", "content", "target", "device", "xattrs"]


class Difference(NamedTuple):
    """One path that differs: A is only in the second image, D only in the first, C in both."""

    letter: Letter
    path: bytes
    aspects: tuple[Aspect, ...]
    """What a changed path differs in; times alone are no difference."""
    before: Entry | None
    after: Entry | None


@dataclass(frozen=True, slots=True)
class Sharing:
    """Layers of two images, by diff_id, and the bytes of their blobs."""

    shared: int
    shared_bytes: int
    only_first: int
    only_first_bytes: int
    only_second: int
    only_second_bytes: int


@dataclass(frozen=True, slots=True)
class ImageDiff:
    """All differences, by path in byte order with parents first, and what the layers have in common."""

    differences: tuple[Difference, ...]
    sharing: Sharing


def diff_images(
    engine: "Engine",
    first: str,
    second: str,
    *,
    platform: Platform | None = None,
    progress: Progress = SILENT,
) -> ImageDiff:
    """What must change in the image `first` to become `second`. Raises what `open_image` raises.

    Contents are read only where both sizes are equal and the files are not the same one of the same layer.
    """
    with (
        open_image(engine, first, platform, progress) as one,
        open_image(engine, second, platform, progress) as other,
    ):
        differences = _Comparison(one, other).differences()
        return ImageDiff(tuple(differences), _sharing(one, other))


class _Comparison:
    """Knows where the files of two images have their content."""

    def __init__(self, one: OpenImage, other: OpenImage) -> None:
        self._one = one
        self._other = other

    def differences(self) -> Iterator[Difference]:
        return compare_trees(_tree(self._one).root, _tree(self._other).root, self._is_same)

    def _is_same(self, one: Node, other: Node) -> bool:
        before, after = self._one.layers[one.layer], self._other.layers[other.layer]
        if before.diff_id == after.diff_id and one.entry.offset == other.entry.offset:
            return True
        return is_same_content(Content(one.entry, before.tar), Content(other.entry, after.tar))


def compare_trees(one: Node, other: Node, is_same: Callable[[Node, Node], bool]) -> Iterator[Difference]:
    """The differences of two trees, parents first, names in byte order.

    `is_same` says whether two regular files of one size have one content.
    """
    pending: list[tuple[bytes, Node | None, Node | None]] = [(b"", one, other)]
    while pending:
        place, before, after = pending.pop()
        if before is None or after is None:
            letter: Letter = "A" if before is None else "D"
            yield Difference(letter, place, (), _entry(before), _entry(after))
        elif aspects := tuple(_aspects(before, after, is_same)):
            yield Difference("C", place, aspects, before.entry, after.entry)
        below, above = _children(before), _children(after)
        prefix = place + b"/" if place else b""
        names = sorted(below.keys() | above.keys(), reverse=True)
        pending += [(prefix + name, below.get(name), above.get(name)) for name in names]


def _entry(node: Node | None) -> Entry | None:
    return None if node is None else node.entry


def _children(node: Node | None) -> Mapping[bytes, Node]:
    return (node.children if node is not None else None) or {}


def _aspects(before: Node, after: Node, is_same: Callable[[Node, Node], bool]) -> Iterator[Aspect]:
    one, other = before.entry, after.entry
    if one is other:
        return
    if one.kind is not other.kind:
        yield "type"
    if one.mode != other.mode and Kind.SYMLINK not in (one.kind, other.kind):
        yield "mode"
    if (one.uid, one.gid) != (other.uid, other.gid):
        yield "owner"
    if one.xattrs != other.xattrs:
        yield "xattrs"
    if one.kind is other.kind:
        yield from _content_aspects(before, after, is_same)


def _content_aspects(before: Node, after: Node, is_same: Callable[[Node, Node], bool]) -> Iterator[Aspect]:
    """In what two files of one kind differ, their metadata apart."""
    one, other = before.entry, after.entry
    if one.size != other.size:
        yield "size"
    elif one.kind is Kind.REGULAR and one.size and not is_same(before, after):
        yield "content"
    if one.kind is Kind.SYMLINK and one.link != other.link:
        yield "target"
    if (one.major, one.minor) != (other.major, other.minor):
        yield "device"


def _tree(image: OpenImage) -> Tree:
    tree = Tree()
    for layer in image.layers:
        tree.apply(layer.changes())
    return tree


def _sharing(one: OpenImage, other: OpenImage) -> Sharing:
    first = {layer.diff_id: layer.descriptor.size for layer in one.layers}
    second = {layer.diff_id: layer.descriptor.size for layer in other.layers}
    return Sharing(
        shared=len(first.keys() & second.keys()),
        shared_bytes=sum(size for diff_id, size in second.items() if diff_id in first),
        only_first=len(first.keys() - second.keys()),
        only_first_bytes=sum(size for diff_id, size in first.items() if diff_id not in second),
        only_second=len(second.keys() - first.keys()),
        only_second_bytes=sum(size for diff_id, size in second.items() if diff_id not in first),
    )
