"""`save`: images in the store → one archive, in docker's format or OCI's."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from layerstore.archive.docker_archive_writer import DockerArchiveWriter
from layerstore.archive.oci_archive_writer import OciArchiveWriter
from layerstore.archive.tar_writer import Output
from layerstore.content import Readable
from layerstore.copy import copy
from layerstore.dataclass import dataclass
from layerstore.errors import StoreDamaged, UnsupportedContent, storage_error
from layerstore.layer.files import TAR
from layerstore.layer.merge import layer_facts
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.digest import Digest
from layerstore.oci.platform import Platform
from layerstore.oci.reference import Reference
from layerstore.progress import SILENT, Progress
from layerstore.store.store import Store
from layerstore.watch import WatchedTarget
from lstore.engine import catalog

if TYPE_CHECKING:
    from lstore.engine.catalog import Image
    from lstore.engine.engine import Engine

Format = Literal["docker-archive", "oci-archive"]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One image to be saved, and the names it is saved under."""

    image: "Image"
    root: Descriptor
    names: tuple[Reference, ...]


def save(
    engine: "Engine",
    wanted: Sequence[str],
    output: Output,
    *,
    archive: Format = "docker-archive",
    platform: Platform | None = None,
    progress: Progress = SILENT,
) -> None:
    """Write the images that `wanted` names or identifies to `output`, layers that they share once.

    An image that is picked by its id is saved without a name. An index that was pulled whole goes whole into an OCI
    archive, unless `platform` asks for one image of it; a docker archive takes that image, or the one for this host.
    Raises `NotFound`, `StoreDamaged`, `StorageError`; then the archive has no end and will not load.
    """
    chosen = [_choose(engine, text, platform) for text in wanted]
    for each in chosen:
        if each.image.damage:
            raise StoreDamaged(f"cannot save {each.image.id.short}: {each.image.damage}")
    with engine.store.holding(*(each.root for each in chosen)):
        if archive == "oci-archive":
            _save_oci(engine.store, chosen, output, progress)
        else:
            _save_docker(engine, chosen, output, progress)


def _choose(engine: "Engine", text: str, platform: Platform | None) -> _Wanted:
    store = engine.store
    table = store.refs.read()
    entries = catalog.named(table, text)
    if not entries:
        image = catalog.one_id(catalog.by_id(catalog.images(store, table), text), text)
        return _Wanted(catalog.for_platform(image, platform, text), image.descriptor, ())
    image = catalog.preferred(catalog.images(store, type(table)(entries)), platform or engine.platform)
    catalog.for_platform(image, platform, text)
    names = tuple(dict.fromkeys(ref.name for ref in image.refs if ref.name is not None))
    root = image.refs[0].descriptor if platform is None else image.descriptor
    return _Wanted(image, root, names)


def _save_oci(store: Store, chosen: Sequence[_Wanted], output: Output, progress: Progress) -> None:
    writer = OciArchiveWriter(output)
    for each in chosen:
        copy(store.blobs, WatchedTarget(writer, progress, "writing"), each.root, parallel=1)
        for name in each.names:
            writer.tag(each.root, str(name))
        if not each.names:
            writer.add_root(each.root)
    writer.finish()


def _save_docker(engine: "Engine", chosen: Sequence[_Wanted], output: Output, progress: Progress) -> None:
    writer = DockerArchiveWriter(output, StoredTars(engine.store, progress))
    for each in chosen:
        if each.image.manifest is None or each.image.config is None:
            raise UnsupportedContent(
                f"{each.image.id.short} is an artifact, which docker's archives cannot hold",
                hint="lstore save --format oci-archive",
            )
        engine.snapshotter.ensure(each.image.manifest, each.image.config, progress)
        writer.add(each.image.config, each.names)
    writer.finish()


class StoredTars:
    """The uncompressed layers of a store, as an archive's writer wants them.

    They were verified when they were written, and what a crash may have spoilt is verified before its next use;
    digesting them once more would take longer than all else (docs/performance.md). Whoever loads verifies.
    """

    is_verified = True

    def __init__(self, store: Store, progress: Progress = SILENT) -> None:
        self._store = store
        self._progress = progress

    @contextmanager
    def open_tar(self, diff_id: Digest) -> Iterator[tuple[Readable, int]]:
        """The bytes of the layer, and how many they are. Raises `StorageError`, `StoreDamaged` for a wrong size."""
        directory = self._store.layers.path(diff_id)
        path = os.path.join(directory, TAR)
        wanted = layer_facts(directory).size
        try:
            stream = open(path, "rb", buffering=0)  # noqa: SIM115  # closed below, errors told apart before
        except OSError as error:
            raise storage_error(error, f"read layer {diff_id}") from error
        with stream:
            size = os.fstat(stream.fileno()).st_size
            if size != wanted:
                raise StoreDamaged(
                    f"layer {diff_id} has {size} bytes, not {wanted}", hint="lstore fsck --repair"
                )
            self._progress.phase(diff_id.short, "writing", size)
            yield stream, size
            self._progress.phase(diff_id.short, "done")
