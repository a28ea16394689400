"""`history`: how an image came to be, the last step first."""

from layerstore.dataclass import dataclass
from layerstore.oci.digest import Digest
from layerstore.store.store import Store
from lstore.engine import catalog


@dataclass(frozen=True, slots=True)
class Step:
    """One step; `image_id` is known of the last alone. `size` counts the bytes of its compressed layer."""

    image_id: Digest | None
    created: str
    created_by: str
    size: int
    comment: str


def image_history(store: Store, text: str) -> tuple[Step, ...]:
    """The steps that made the image `text`, the last one first; layers that no step explains come as steps too.

    Raises `NotFound`, `StoreDamaged`, and `UnsupportedContent` for an artifact that is no image.
    """
    image = catalog.find(store, text)
    manifest, config = catalog.parts(image, text)
    sizes = [layer.size for layer in manifest.layers]
    steps: list[Step] = []
    for entry in config.history:
        size = 0 if entry.empty_layer or not sizes else sizes.pop(0)
        steps.append(Step(None, entry.created, entry.created_by, size, entry.comment))
    steps.extend(Step(None, "", "", size, "") for size in sizes)
    if steps:
        last = steps[-1]
        steps[-1] = Step(image.id, last.created, last.created_by, last.size, last.comment)
    return tuple(reversed(steps))
