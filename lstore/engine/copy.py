"""`copy`: an image or artifact from any place to any other: registry, store, layout directory, archive.

Between two registries nothing touches the store or the disk.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, BinaryIO

from layerstore.archive.docker_archive_writer import DockerArchiveWriter
from layerstore.archive.oci_archive_writer import OciArchiveWriter
from layerstore.archive.oci_layout import LayoutDirectory
from layerstore.content import CHUNK, Readable, Source, Target, VerifyingReader, read_manifest
from layerstore.copy import PARALLEL
from layerstore.copy import copy as copy_graph
from layerstore.dataclass import dataclass, replace
from layerstore.errors import Conflict, UnsupportedContent
from layerstore.layer.codec import decompressor
from layerstore.oci import mediatype
from layerstore.oci.config import ImageConfig
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.digest import Digest
from layerstore.oci.manifest import Manifest
from layerstore.oci.platform import Platform
from layerstore.oci.reference import DEFAULT_TAG, Reference
from layerstore.progress import SILENT, Loading, Progress
from layerstore.store.refs import Ref
from layerstore.tasks import Cancellation
from layerstore.watch import WatchedTarget
from lstore.engine.admit import admit, choose, images_below, unpack_only
from lstore.engine.output_file import output_file
from lstore.engine.place import Place, opened

if TYPE_CHECKING:
    from lstore.engine.engine import Engine


def copy(
    engine: "Engine",
    source: Place,
    destination: Place,
    *,
    platform: Platform | None = None,
    all_platforms: bool = False,
    progress: Progress = SILENT,
) -> Descriptor:
    """Let `destination` have the image at `source`, for `platform` or this host, or for all; give its root.

    Digests stay as they are, except that docker's archives keep no manifests. Artifacts are copied as well,
    but not into docker's archives. Raises what either side raises: `NotFound`, `NoMatchingPlatform`,
    `RegistryError`, `InvalidArchive`, `ContentMismatch`, `StorageError`, `UsageError`.
    """
    wanted = platform or engine.platform
    work = _Work(progress, Cancellation())
    with opened(engine, source, wanted, progress, work.cancellation) as (origin, root):
        chosen = root if all_platforms else choose(origin, root, wanted)
        heard = work if source.transport == "docker" else replace(work, progress=Loading(progress))
        _TAKERS[destination.transport](engine, origin, chosen, destination, heard)
    return chosen


@dataclass(frozen=True, slots=True)
class _Work:
    """Where the work reports its progress, and what may end it."""

    progress: Progress
    cancellation: Cancellation

    def copy(self, origin: Source, target: Target, root: Descriptor, *, parallel: int = PARALLEL) -> None:
        copy_graph(origin, target, root, parallel=parallel, cancellation=self.cancellation)


def _to_registry(
    engine: "Engine", origin: Source, root: Descriptor, destination: Place, work: "_Work"
) -> None:
    from registry_client.scope import PUSH

    name = Reference.parse(destination.name)
    with engine.registries(work.progress, work.cancellation) as client:
        repository = client.repository(name, actions=PUSH)
        work.copy(origin, WatchedTarget(repository, work.progress, "uploading"), root)
        if name.digest is None:
            repository.tag(root, name.target)


def _to_store(engine: "Engine", origin: Source, root: Descriptor, destination: Place, work: "_Work") -> None:
    parsed = read_manifest(origin, root)
    image = root if isinstance(parsed, Manifest) and parsed.is_image else None
    ref = Ref(Reference.parse(destination.name), root)
    sinks = unpack_only(origin, image, among_others=False)
    with engine.store.transaction(sinks, work.progress, work.cancellation) as transaction:
        work.copy(origin, transaction, root)
        if isinstance(parsed, Manifest) and not parsed.is_image:
            transaction.set_ref(ref)
        else:
            admit(transaction, ref)
        transaction.commit()
    for manifest, config in images_below(engine.store.blobs, (root,)):
        engine.snapshotter.ensure(manifest, config, work.progress)


def _to_layout(engine: "Engine", origin: Source, root: Descriptor, destination: Place, work: "_Work") -> None:
    layout = LayoutDirectory.create(destination.path)
    work.copy(origin, WatchedTarget(layout, work.progress, "writing"), root)
    layout.tag(root, destination.name or DEFAULT_TAG)


def _to_oci_archive(
    engine: "Engine", origin: Source, root: Descriptor, destination: Place, work: "_Work"
) -> None:
    with _created(destination.path) as output:
        writer = OciArchiveWriter(output)
        work.copy(origin, WatchedTarget(writer, work.progress, "writing"), root, parallel=1)
        writer.tag(root, destination.name or DEFAULT_TAG)
        writer.finish()


def _to_docker_archive(
    engine: "Engine", origin: Source, root: Descriptor, destination: Place, work: "_Work"
) -> None:
    images = images_below(origin, (root,))
    if not images:
        raise UnsupportedContent(f"{root.digest} is not one image, which is what a docker archive takes")
    manifest, config = images[0]
    names = (Reference.parse(destination.name),) if destination.name else ()
    with _created(destination.path) as output:
        tars = _UnpackedTars(origin, manifest, config, engine.store.layout.ingests, work.progress)
        writer = DockerArchiveWriter(output, tars)
        writer.add(config, names)
        writer.finish()


_Taker = Callable[["Engine", Source, Descriptor, Place, _Work], None]
_TAKERS: dict[str, _Taker] = {
    "docker": _to_registry,
    "store": _to_store,
    "oci": _to_layout,
    "oci-archive": _to_oci_archive,
    "docker-archive": _to_docker_archive,
}


@contextmanager
def _created(path: str) -> Iterator[BinaryIO]:
    """A new file at `path`, which appears only if the block ends well. Raises `Conflict`, `StorageError`."""
    if os.path.exists(path):
        raise Conflict(f"{path} exists already")
    with output_file(path) as output:
        yield output


class _UnpackedTars:
    """The layers of an image that is not in the store, unpacked one at a time into a nameless file."""

    is_verified = False

    def __init__(
        self, source: Source, manifest: Manifest, config: ImageConfig, spool: str, progress: Progress
    ) -> None:
        config.check_layers(len(manifest.layers))
        self._source = source
        self._layers = dict(zip(config.diff_ids, manifest.layers, strict=True))
        self._spool = spool
        self._progress = progress

    @contextmanager
    def open_tar(self, diff_id: Digest) -> Iterator[tuple[Readable, int]]:
        """The bytes of the layer, and how many they are. Raises `InvalidLayer`, `ContentMismatch`."""
        layer = self._layers[diff_id]
        compression = mediatype.layer_compression(layer.media_type)
        if compression is None:
            raise UnsupportedContent(f"{layer.media_type} is no layer that can be unpacked")
        self._progress.phase(layer.digest.short, "unpacking", layer.size)
        with (
            tempfile.TemporaryFile(dir=self._spool, buffering=0) as unpacked,
            self._source.fetch(layer) as stream,
        ):
            reader, unpacker = VerifyingReader(stream, layer), decompressor(compression)
            for chunk in iter(partial(reader.read, CHUNK), b""):
                self._progress.advance(layer.digest.short, len(chunk))
                for data in unpacker.decompress(chunk):
                    unpacked.write(data)
            unpacker.finish()
            self._progress.phase(layer.digest.short, "done")
            size = unpacked.tell()
            unpacked.seek(0)
            yield unpacked, size
