"""`commit`: a new image of what a container made of its own."""

from __future__ import annotations

import os
from functools import partial

from layerstore.content import opened_bytes, read_document, read_manifest
from layerstore.errors import NotFound, StoreDamaged
from layerstore.layer import indexer as _indexer  # noqa: F401 - for large layers; the child that writes imports nothing
from layerstore.layer.diff import diff, members
from layerstore.oci import mediatype
from layerstore.oci.config import ImageConfig
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.digest import Digest
from layerstore.oci.document import dump, parse_object
from layerstore.oci.manifest import Manifest, build_manifest
from layerstore.snapshot.commit import NewLayer, adopt, write_layer
from layerstore.snapshot.unpack import unpack_layers
from layerstore.store.refs import Ref
from layerstore.store.staging import staged
from layerstore.value import Value
from lstore.engine import catalog
from lstore.engine.admit import admit
from lstore.engine.containers import freezing, places
from lstore.engine.containers.diff import compare
from lstore.engine.containers.image_settings import settings_of
from lstore.engine.containers.look import look
from lstore.engine.containers.mount_points import own_changes
from runner import cgroups, events

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from layerstore.oci.document import Json
    from layerstore.oci.reference import Reference
    from lstore.engine.containers.look import Container
    from lstore.engine.engine import Engine


class CommitRequest(Value):
    """What the image is to be called and to say; `created` is the moment it claims."""

    created: datetime
    name: Reference | None = None
    message: str = ""
    author: str = ""
    changes: Sequence[str] = ()
    pauses: bool = True


def commit(engine: Engine, text: str, request: CommitRequest) -> Digest:
    """The id of a new image: the container's, with what the container changed as one more layer. Durable.

    The container stands still meanwhile, where it has a control group and the request says so. Raises
    `NotFound`, `UsageError` for a change that cannot be, `StorageError`, `LaunchError`.
    """
    container = look(engine, text)
    stands_still = request.pauses and container.state.status == "running" and not container.state.is_paused
    stands_still = stands_still and cgroups.load(container.home.path) is not None
    if stands_still:
        freezing.pause(engine, text)
    try:
        identity = _commit(engine, container, request, is_live=not stands_still)
    finally:
        if stands_still:
            freezing.unpause(engine, text)
    events.record(places.containers_of(engine), "commit", container.config, imageID=str(identity))
    return identity


def _commit(engine: Engine, container: Container, request: CommitRequest, *, is_live: bool) -> Digest:
    manifest, image = _base(engine, container)
    with staged(engine.store.layout) as directory:
        layer = _new_layer(engine, container, directory, is_live=is_live)
        config = _configuration(container, image, request, layer)
        described = Descriptor.of(mediatype.OCI_CONFIG, config)
        layers = manifest.layers if layer is None else (*manifest.layers, layer.descriptor)
        made = build_manifest(described, layers)
        with engine.store.transaction(unpack_layers) as transaction:
            if layer is not None:
                adopt(transaction, layer, directory)
            transaction.push(described, partial(opened_bytes, config))
            transaction.push(made.descriptor, partial(opened_bytes, made.raw))
            admit(transaction, Ref(request.name, made.descriptor))
            transaction.commit()
    engine.snapshotter.ensure(made, ImageConfig.parse(config))
    return described.digest


def _base(engine: Engine, container: Container) -> tuple[Manifest, ImageConfig]:
    """The container's image, which may have lost its names, but must still be here."""
    wanted = container.config.image_id
    for image in catalog.images(engine.store, engine.store.refs.read()):
        if str(image.id) == wanted:
            manifest = read_manifest(engine.store.blobs, image.descriptor)
            if isinstance(manifest, Manifest):
                return manifest, ImageConfig.parse(read_document(engine.store.blobs, manifest.config))
    raise NotFound(
        f"cannot commit {container.config.name}: its image {wanted[7:19]} was removed",
        hint=f"lstore pull {container.config.image}",
    )


def _new_layer(engine: Engine, container: Container, directory: str, *, is_live: bool) -> NewLayer | None:
    """The layer of the container's changes, in `directory`; None where it changed nothing.

    With `is_live` the container may go on meanwhile.
    """
    reader, writer = os.pipe()
    said = b""

    def write(upper: int, lower: int, userxattr: bool) -> None:
        os.close(reader)
        changes = own_changes(diff(upper, lower, userxattr=userxattr), lower)
        layer = write_layer(members(changes, is_live=is_live), directory)
        if layer is not None:
            os.write(writer, dump({"diff_id": str(layer.diff_id), "size": layer.size}))

    def listen() -> None:
        nonlocal said
        os.close(writer)
        with open(reader, "rb") as stream:
            said = stream.read()

    compare(engine, container, write, listen)
    if not said:
        return None
    answer = parse_object(said, "a new layer")
    diff_id, size = answer["diff_id"], answer["size"]
    if not isinstance(diff_id, str) or not isinstance(size, int):
        raise StoreDamaged("a new layer came without its digest")
    return NewLayer(Digest.parse(diff_id), size)


def _configuration(
    container: Container, image: ImageConfig, request: CommitRequest, layer: NewLayer | None
) -> bytes:
    """The image's configuration with the container's settings, one more layer, and one more line of history."""
    from datetime import UTC

    from lstore.engine.change_instructions import apply_changes  # it imports all that reads Dockerfiles

    created = request.created.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    step: dict[str, Json] = {"created": created, "created_by": " ".join(container.config.spec.args)}
    step |= {"comment": request.message} if request.message else {}
    step |= {"author": request.author} if request.author else {}
    step |= {} if layer is not None else {"empty_layer": True}
    document = dict(image.document)
    before = document.get("config")
    before = before if isinstance(before, dict) else {}
    settings = {**before, **settings_of(container.config, before)}
    history = document.get("history")
    diff_ids = [str(each) for each in image.diff_ids] + ([] if layer is None else [str(layer.diff_id)])
    document.update(
        created=created,
        config=apply_changes(settings, request.changes),
        rootfs={"type": "layers", "diff_ids": diff_ids},
        history=[*(history if isinstance(history, list) else []), step],
    )
    if request.author:
        document["author"] = request.author
    return dump(document)
