"""`load`: the images in an archive or layout → the store, through the same pipeline as a pull."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from layerstore.archive.open import open_archive
from layerstore.archive.spool import OpenFile
from layerstore.archive.tar_archive import ImageArchive
from layerstore.content import children, has_children, read_manifest
from layerstore.copy import copy
from layerstore.dataclass import dataclass
from layerstore.errors import InvalidArchive, InvalidReference, NoMatchingPlatform
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.digest import Digest
from layerstore.oci.manifest import Manifest
from layerstore.oci.reference import DEFAULT_TAG, Reference
from layerstore.progress import SILENT, Loading, Progress
from layerstore.store.refs import Ref
from lstore.engine.admit import admit, choose, images_below, make_ready, unpack_only

if TYPE_CHECKING:
    from lstore.engine.engine import Engine


@dataclass(frozen=True, slots=True)
class Loaded:
    """An image that was loaded. `moved` are those of its names that stood for another image until now."""

    names: tuple[Reference, ...]
    id: Digest
    moved: tuple[Reference, ...]


def load(engine: "Engine", source: str | OpenFile, *, progress: Progress = SILENT) -> Iterator[Loaded]:
    """Take in each image of `source`, a path or an open file, and say so once it is durable.

    Names move to what was loaded; where one stood for another image before, that one stays, nameless, and
    `Loaded.moved` tells (CVE-2026-50195: never silently). Artifacts beside the images are passed over, with a
    note. Raises what `open_archive` raises, `InvalidArchive` where there is no image at all, and
    `ContentMismatch`, `InvalidLayer`, `StorageError`; images loaded before then stay.
    """
    with open_archive(source, engine.store.layout.ingests) as archive:
        images = [image for image in archive.images() if not _is_artifact(archive, image.root)]
        for artifact in archive.images():
            if artifact not in images:
                progress.note(f"{artifact.root.digest} is an artifact, which load passes over")
        if not images:
            raise InvalidArchive("the archive holds no images")
        for image in images:
            yield _load(engine, archive, image.root, _references(image.names), progress)


def _is_artifact(archive: ImageArchive, root: Descriptor) -> bool:
    parsed = read_manifest(archive, root)
    return isinstance(parsed, Manifest) and not parsed.is_image


def _load(
    engine: "Engine",
    archive: ImageArchive,
    root: Descriptor,
    names: tuple[Reference, ...],
    progress: Progress,
) -> Loaded:
    native = _native(engine, archive, root)
    is_whole = native is None or _is_complete(archive, root)
    chosen = root if is_whole or native is None else native
    before = engine.store.refs.read()
    sinks = unpack_only(archive, native, among_others=chosen != native)
    with engine.store.transaction(sinks, Loading(progress)) as transaction:
        copy(archive, transaction, chosen, cancellation=transaction.cancellation)
        refs = [admit(transaction, Ref(name, chosen)) for name in names or (None,)]
        transaction.commit()
    moved = [ref.name for ref in refs if ref.name and any(_is_moved(old, ref) for old in before.refs)]
    images = images_below(engine.store.blobs, (native,)) if native is not None else ()
    make_ready(engine, images, refs, before, progress)
    image_id = images[0][1].image_id if images else chosen.digest
    return Loaded(names, image_id, tuple(moved))


def _native(engine: "Engine", archive: ImageArchive, root: Descriptor) -> Descriptor | None:
    try:
        return choose(archive, root, engine.platform)
    except NoMatchingPlatform:
        return None


def _is_complete(archive: ImageArchive, node: Descriptor) -> bool:
    """Whether the archive has all that `node` names; docker leaves out what it did not have itself."""
    if not archive.has(node):
        return False
    return not has_children(node) or all(
        _is_complete(archive, child) for child in children(read_manifest(archive, node))
    )


def _is_moved(old: Ref, new: Ref) -> bool:
    return old.gives_way_to(new) and old.descriptor != new.descriptor


def _references(names: tuple[str, ...]) -> tuple[Reference, ...]:
    """The names that are image names; layouts may call their entries anything, and often just "latest"."""
    found: dict[Reference, None] = {}
    for name in names:
        if name == DEFAULT_TAG:
            continue
        try:
            found[Reference.parse(name)] = None
        except InvalidReference:
            continue
    return tuple(found)
