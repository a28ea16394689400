"""`system df`: what takes space in a store. Its sum is what ``du`` says of the root."""

import errno
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, BinaryIO

from layerstore.build.cache import BuildCache
from layerstore.dataclass import dataclass
from layerstore.disk import locks
from layerstore.disk.trees import Meter
from layerstore.errors import storage_error
from layerstore.store.gc import Plan
from layerstore.store.store import Store
from lstore.engine import catalog
from lstore.engine.catalog import Image
from lstore.engine.collect import plan
from lstore.engine.in_use import InUse, in_use
from runner.mapped import call_mapped

if TYPE_CHECKING:
    from lstore.engine.engine import Engine


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of thing: how many there are and are in use, and the bytes they take and could give back."""

    name: str
    total: int
    active: int
    size: int
    reclaimable: int


@dataclass(frozen=True, slots=True)
class ImageUsage:
    """The bytes on disk of one image that others need too, and that it alone needs.

    `containers` were made of it; it is active also while it is mounted or a build stands on it.
    """

    image: Image
    shared: int
    unique: int
    containers: int
    is_active: bool


@dataclass(frozen=True, slots=True)
class DiskUsage:
    """The kinds, whose sizes add up to `size`, and each image."""

    kinds: tuple[Kind, ...]
    images: tuple[ImageUsage, ...]
    size: int


def disk_usage(engine: "Engine") -> DiskUsage:
    """What takes how much now. Raises `StorageError`, `StoreDamaged`."""
    store = engine.store
    with _steady(store):
        leftover = plan(store, engine.snapshotter, with_ingests=True)
        images = catalog.images(store, store.refs.read())
        used = in_use(store)
    survey = _Survey(engine, leftover, images, used)
    if engine.ids is not None:
        survey.measure_mapped()
    return survey.usage()


@contextmanager
def _steady(store: Store) -> Iterator[None]:
    """Let nothing change the store in the block; on a read-only file system, nothing can. Raises `StorageError`."""
    with ExitStack() as stack:
        try:
            stack.enter_context(locks.exclusive(store.layout.lock))
        except OSError as error:
            if error.errno != errno.EROFS:
                raise storage_error(error, f"look at the store at {store.layout.root}") from error
        yield


class _Survey:
    """The paths of everything, each measured once; a file with names in two of them counts for the first."""

    def __init__(
        self,
        engine: "Engine",
        leftover: Plan,
        images: tuple[Image, ...],
        used: InUse,
    ) -> None:
        self._layout = engine.store.layout
        self._snapshots = engine.snapshotter
        self._leftover = leftover
        self._images = images
        self._used = used
        self._keys = engine.snapshotter.active()
        self._meter = Meter()
        self._sizes: dict[str, int] = {}

    def usage(self) -> DiskUsage:
        images = self._image_usages()
        kinds = (
            self._kind_of_images(images),
            self._kind_of_containers(),
            self._kind_of_build_cache(),
            self._kind("Partial downloads", self._partial(), self._leftover.ingests),
            self._kind("Orphans", self._orphans(), self._orphans()),
        )
        root = self._layout.root
        if root not in self._sizes:
            self._sizes[root] = Meter().measure(root).size
        whole = self._sizes[root]
        rest = whole - sum(kind.size for kind in kinds)
        return DiskUsage((*kinds, Kind("Bookkeeping", 1, 1, rest, 0)), images, whole)

    def measure_mapped(self) -> None:
        """Measure as root among an ordinary user's subordinate ids: others' directories are closed to the user.

        To be called in the main thread of a process that has no others. Raises `LaunchError`.
        """
        with open(os.memfd_create("lstore-sizes"), "w+b") as file:
            call_mapped(partial(self._write_sizes, file))
            file.seek(0)
            self._sizes = json.load(file)

    def _write_sizes(self, file: BinaryIO) -> None:
        self.usage()
        file.write(json.dumps(self._sizes).encode())
        file.flush()

    def _kind(self, name: str, paths: tuple[str, ...], removable: tuple[str, ...]) -> Kind:
        size, reclaimable = self._measure(paths), self._measure(removable)
        return Kind(name, len(paths), len(paths) - len(removable), size, reclaimable)

    def _measure(self, paths: Iterable[str]) -> int:
        return sum(map(self._size, paths))

    def _size(self, path: str) -> int:
        if path not in self._sizes:
            self._sizes[path] = self._meter.measure(path).size
        return self._sizes[path]

    def _partial(self) -> tuple[str, ...]:
        paths = (os.path.join(self._layout.ingests, name) for name in os.listdir(self._layout.ingests))
        return tuple(path for path in paths if path not in self._leftover.strays)

    def _orphans(self) -> tuple[str, ...]:
        left = self._leftover
        return (*left.manifests, *left.blobs, *left.layers, *left.snapshots, *left.strays)

    def _kind_of_containers(self) -> Kind:
        """Those that run are active; what the others take comes back by a prune."""
        layout = self._layout
        homes = (os.path.join(layout.snapshots, "active"), layout.containers)
        running = {holder.id for holder in self._used.containers if holder.is_running}
        idle = [key for key in self._keys if key not in running]
        size, reclaimable = (
            self._measure(os.path.join(home, key) for home in homes for key in keys)
            for keys in (self._keys, idle)
        )
        return Kind("Containers", len(self._keys), len(self._keys) - len(idle), size, reclaimable)

    def _kind_of_build_cache(self) -> Kind:
        """Records of finished steps, with the layers that no image has, and cache mounts."""
        cache = BuildCache(self._layout)
        layers = cache.layers()
        paths = {self._layout.blob(layer.digest) for layer in layers}
        paths |= {self._layout.layer(layer.digest) for layer in layers}
        paths -= {path for image in self._images for path in self._paths(image)}
        size = self._measure((*sorted(paths), self._layout.build_cache))
        return Kind("Build Cache", len(cache.records()), 0, size, size)

    def _kind_of_images(self, usages: tuple[ImageUsage, ...]) -> Kind:
        active = [each for each in usages if each.is_active]
        paths = {path for each in usages for path in self._paths(each.image)}
        needed = {path for each in active for path in self._paths(each.image)}
        size = self._measure(sorted(paths))
        return Kind("Images", len(usages), len(active), size, size - self._measure(sorted(needed)))

    def _image_usages(self) -> tuple[ImageUsage, ...]:
        owners: dict[str, int] = {}
        for image in self._images:
            for path in self._paths(image):
                owners[path] = owners.get(path, 0) + 1
        return tuple(self._image_usage(image, owners) for image in self._images)

    def _image_usage(self, image: Image, owners: dict[str, int]) -> ImageUsage:
        paths = self._paths(image)
        shared = self._measure(path for path in paths if owners[path] > 1)
        unique = self._measure(path for path in paths if owners[path] == 1)
        return ImageUsage(image, shared, unique, self._used.containers_of(image), self._used.is_active(image))

    def _paths(self, image: Image) -> tuple[str, ...]:
        """Blobs, indexes that hold it, uncompressed layers and snapshot of `image`."""
        blobs = {image.descriptor.digest, *(ref.descriptor.digest for ref in image.refs)}
        if image.manifest is not None:
            blobs |= {image.manifest.config.digest, *(layer.digest for layer in image.manifest.layers)}
        paths = [self._layout.blob(digest) for digest in sorted(blobs)]
        if image.config is not None and image.config.diff_ids:
            paths += [self._layout.layer(diff_id) for diff_id in dict.fromkeys(image.config.diff_ids)]
            paths += self._snapshots.committed(image.config.diff_ids)
        return tuple(paths)
