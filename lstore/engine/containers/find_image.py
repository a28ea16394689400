"""What `create` does when the image is not known to be ready: find it, pull it if need be, unpack it."""

from __future__ import annotations

from layerstore.content import read_document, read_manifest
from layerstore.errors import NotFound, UnsupportedContent
from layerstore.oci.config import ImageConfig
from layerstore.oci.manifest import Manifest
from layerstore.oci.reference import Reference
from layerstore.snapshot.snapshotter import parent_document
from lstore.engine import catalog
from lstore.engine.containers import ready
from lstore.engine.containers.image_facts import facts_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from layerstore.progress import Progress
    from lstore.engine.containers.request import ContainerRequest
    from lstore.engine.engine import Engine


def make_ready(engine: Engine, request: ContainerRequest, progress: Progress) -> ready.Ready:
    """The image with its committed snapshot, remembered for the next time. Raises as `find_image`, `InvalidLayer`."""
    if request.pull == "always":
        _pull(engine, request, progress)
    refs = ready.refs_now(engine)
    manifest, image = find_image(engine, request, progress)
    snapshots = engine.snapshotter
    snapshots.ensure(manifest, image, progress)
    root = snapshots.root(image.diff_ids)
    made = ready.Ready(
        asked=ready.words(engine, request),
        facts=facts_of(image),
        view=snapshots.view(image.diff_ids),
        needed=snapshots.needed(image.diff_ids),
        parent=parent_document(image.diff_ids).decode(),
        root=(root.mode, root.uid, root.gid),
    )
    ready.remember(engine, made, refs)
    return made


def find_image(engine: Engine, request: ContainerRequest, progress: Progress) -> tuple[Manifest, ImageConfig]:
    """Manifest and configuration of the image, pulled first where the policy says so.

    Raises `NotFound`, `UnsupportedContent` for an artifact, and as `pull` and `read_manifest` do.
    """
    try:
        image = _found(engine, request)
    except NotFound:
        if request.pull == "never":
            raise
        progress.note(f"Unable to find image '{request.image}' locally")
        _pull(engine, request, progress)
        image = _found(engine, request)
    manifest = read_manifest(engine.store.blobs, image.descriptor)
    if not isinstance(manifest, Manifest) or not manifest.is_image:
        raise UnsupportedContent(f"{request.image} is an artifact, which cannot be run")
    return manifest, ImageConfig.parse(read_document(engine.store.blobs, manifest.config))


def _found(engine: Engine, request: ContainerRequest) -> catalog.Image:
    """The image here. As in docker, one of another platform than the one that was asked for is none."""
    wanted = request.platform
    image = catalog.find(engine.store, request.image, wanted or engine.platform)
    return catalog.for_platform(image, wanted, request.image)


def _pull(engine: Engine, request: ContainerRequest, progress: Progress) -> None:
    from lstore.engine.pull import pull

    pull(engine, Reference.parse(request.image), platform=request.platform, progress=progress)
