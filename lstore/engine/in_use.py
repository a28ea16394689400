"""What stands on images, as the accounts and a prune see it: containers, by the image that each was made of.

Two images may have the same layers, so layers alone do not tell which of them is in use.
"""

from layerstore.build.cache import BuildCache
from layerstore.dataclass import dataclass
from layerstore.oci.digest import Digest
from layerstore.snapshot.views import open_views
from layerstore.store.store import Store
from lstore.engine.catalog import Image
from lstore.engine.containers.image_holders import Holder, holders


@dataclass(frozen=True, slots=True)
class InUse:
    """Containers, the ids that are mounted, the stacks that builds at work read."""

    containers: tuple[Holder, ...]
    mounted: frozenset[str]
    building: frozenset[tuple[Digest, ...]]

    def containers_of(self, image: Image) -> int:
        """How many were made of it."""
        return sum(holder.image_id == str(image.id) for holder in self.containers)

    def is_active(self, image: Image) -> bool:
        """Whether a container, running or not, was made of it, or it is mounted, or built on at this moment."""
        is_built_on = image.config is not None and image.config.diff_ids in self.building
        return is_built_on or str(image.id) in self.mounted or self.containers_of(image) > 0


def in_use(store: Store) -> InUse:
    """What is in use now. Raises `StorageError`. Called under the store lock."""
    return InUse(
        holders(store.layout.containers),
        frozenset(view.id for view in open_views(store.layout).mounted()),
        frozenset(BuildCache(store.layout).held_stacks()),
    )
