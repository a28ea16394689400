"""`explore`: what is in an image, layer by layer, and what of it is stored in vain.

docs/explore.md defines every number. Nothing is mounted and nothing changed; the work is bounded by the
image's own size, and file contents are read in pieces.
"""

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from layerstore.dataclass import dataclass
from layerstore.layer.entry import Kind
from layerstore.layer.tree import walk
from layerstore.oci.config import History, ImageConfig
from layerstore.oci.digest import Digest
from layerstore.oci.platform import Platform
from layerstore.progress import SILENT, Progress
from lstore.engine.duplicates import Duplicate, find_duplicates
from lstore.engine.file_tree import Branch, Item, grow
from lstore.engine.ledger import Change, LayerAccount, Ledger, Letter, Stored, stored_size
from lstore.engine.open_image import OpenImage, OpenLayer, open_image

if TYPE_CHECKING:
    from lstore.engine.engine import Engine


@dataclass(frozen=True, slots=True)
class LayerSummary:
    """One layer in numbers. Sizes are bytes of file content in its tar unless they say otherwise."""

    diff_id: Digest
    digest: Digest
    compressed: int
    """Bytes of its blob."""
    created_by: str
    added: int
    """Paths that it adds, changes and deletes."""
    changed: int
    deleted: int
    stored: int
    """Content that it brings."""
    wasted: int
    """Of that, what the image does not show in the end."""
    hides: int
    """Content of lower layers that this layer takes the last name of."""


@dataclass(frozen=True, slots=True)
class Waste:
    """A path of which some stored copy is not shown, with those copies and the layer that hid each."""

    path: bytes
    copies: tuple[tuple[Stored, int], ...]

    @property
    def size(self) -> int:
        """Bytes of all of them."""
        return sum(stored.size for stored, _ in self.copies)


@dataclass(frozen=True, slots=True)
class Survey:
    """All that is known of one image. `layers` and `changes` go from the lowest layer up."""

    name: str
    id: Digest
    platform: Platform
    layers: tuple[LayerSummary, ...]
    changes: tuple[tuple[Item, ...], ...]
    """What each layer changes, by path. A deleted file has its size of before."""
    items: tuple[Item, ...]
    """The files of the image as it is in the end, by path."""
    waste: tuple[Waste, ...]
    """The largest first."""
    duplicates: tuple[Duplicate, ...]
    """The one with most extra bytes first."""

    @property
    def stored(self) -> int:
        """Bytes of file content in all layers."""
        return sum(layer.stored for layer in self.layers)

    @property
    def wasted(self) -> int:
        """Of these, what the image does not show in the end."""
        return sum(layer.wasted for layer in self.layers)

    @property
    def duplicated(self) -> int:
        """Bytes that one copy of each content would have saved. Part of them may be `wasted` as well."""
        return sum(each.extra for each in self.duplicates)

    @property
    def efficiency(self) -> float:
        """The part of the stored content that the image shows, 0 to 1; 1 for an image without content."""
        return 1 - self.wasted / self.stored if self.stored else 1.0

    @property
    def whole(self) -> Branch:
        """The image's files as a tree."""
        return grow(self.items)

    def layer(self, number: int) -> Branch:
        """What layer `number` changes as a tree."""
        return grow(self.changes[number])


def explore(
    engine: "Engine", text: str, *, platform: Platform | None = None, progress: Progress = SILENT
) -> Survey:
    """The survey of the image `text`. Raises `NotFound`, `StoreDamaged`, `UnsupportedContent`, `StorageError`."""
    with open_image(engine, text, platform, progress) as image, _uncollected():
        ledger = Ledger()
        for layer in image.layers:
            ledger.apply(layer.changes())
        stored = [each for account in ledger.layers for each in account.stored]
        duplicates = find_duplicates(stored, [layer.tar for layer in image.layers])
        return survey(text, image, ledger, duplicates)


@contextmanager
def _uncollected() -> Iterator[None]:
    """No search for reference cycles in the block: it would take half of the time, and find none."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def survey(text: str, image: OpenImage, ledger: Ledger, duplicates: tuple[Duplicate, ...]) -> Survey:
    """The numbers that follow from the account in `ledger` of the layers of `image`."""
    live = ledger.live()
    dead = [each for account in ledger.layers for each in account.stored if id(each.entry) not in live]
    hidden = [(each, ledger.hider(each)) for each in dead]
    dead_ids = {id(each.entry) for each in dead}
    wasted, hides = [0] * len(image.layers), [0] * len(image.layers)
    for each, by in hidden:
        wasted[each.layer] += each.size
        hides[by] += each.size * (by != each.layer)
    steps = _steps(image.config, len(image.layers))
    parts = zip(image.layers, ledger.layers, steps, wasted, hides, strict=True)
    return Survey(
        name=text,
        id=image.id,
        platform=image.config.platform,
        layers=tuple(_summary(*part) for part in parts),
        changes=tuple(tuple(_layer_items(*each, dead_ids)) for each in enumerate(ledger.layers)),
        items=tuple(_final_items(ledger)),
        waste=_waste(hidden),
        duplicates=duplicates,
    )


def _summary(layer: OpenLayer, account: LayerAccount, step: str, wasted: int, hides: int) -> LayerSummary:
    counts: dict[Letter, int] = {"A": 0, "C": 0, "D": 0}
    for change in account.changes:
        counts[change.letter] += 1
    return LayerSummary(
        diff_id=layer.diff_id,
        digest=layer.descriptor.digest,
        compressed=layer.descriptor.size,
        created_by=step,
        added=counts["A"],
        changed=counts["C"],
        deleted=counts["D"],
        stored=sum(each.size for each in account.stored),
        wasted=wasted,
        hides=hides,
    )


def _steps(config: ImageConfig, count: int) -> list[str]:
    """What made each layer, as the history has it; nothing for layers that it does not explain."""
    told = [_told(step) for step in config.history if not step.empty_layer]
    return [*told, *[""] * count][:count]


def _told(step: History) -> str:
    return step.created_by or step.comment


def _final_items(ledger: Ledger) -> Iterator[Item]:
    layer_of = {id(each.entry): each.layer for account in ledger.layers for each in account.stored}
    counted: set[int] = set()
    for path, node in walk(ledger.tree.root):
        entry = node.entry
        is_first = entry.kind is Kind.REGULAR and id(entry) not in counted
        counted.add(id(entry))
        size = stored_size(entry) if is_first else 0
        yield Item(path, entry, size, layer_of.get(id(entry), max(node.layer, 0)))


def _layer_items(number: int, account: LayerAccount, dead: set[int]) -> Iterator[Item]:
    uncounted = {id(each.entry) for each in account.stored}
    for path, before, after in account.changes:
        entry = after or before
        if entry is None:
            raise AssertionError("a change of nothing into nothing is none")
        letter = Change(path, before, after).letter
        # What is not counted is another name of a file, or a lower layer's.
        is_counted = after is None or id(entry) in uncounted
        uncounted.discard(id(entry))
        size = stored_size(entry) if is_counted and entry.kind is Kind.REGULAR else 0
        yield Item(path, entry, size, number, letter, after is not None and id(entry) in dead)


def _waste(hidden: Sequence[tuple[Stored, int]]) -> tuple[Waste, ...]:
    by_path: dict[bytes, list[tuple[Stored, int]]] = {}
    for stored, by in hidden:
        by_path.setdefault(stored.path, []).append((stored, by))
    found = [Waste(path, tuple(copies)) for path, copies in by_path.items()]
    return tuple(sorted(found, key=lambda each: (-each.size, each.path)))
