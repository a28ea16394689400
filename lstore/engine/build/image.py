"""A solved stage → an image in the store: configuration, manifest, names."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from layerstore.build.solver import Solved
from layerstore.content import opened_bytes
from layerstore.dataclass import dataclass, field, replace
from layerstore.errors import UnsupportedContent
from layerstore.oci import mediatype
from layerstore.oci.config import ImageConfig
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.digest import Digest
from layerstore.oci.document import dump
from layerstore.oci.manifest import Index, Manifest, build_manifest
from layerstore.oci.reference import Reference
from layerstore.store.refs import Ref
from layerstore.store.store import Store

if TYPE_CHECKING:
    from lstore.engine.build.attestation import Attestation


@dataclass(frozen=True, slots=True)
class BuiltImage:
    """One image, of one platform."""

    config: ImageConfig
    manifest: Manifest
    materials: Mapping[str, Digest] = field(default_factory=dict)
    """The images that it was made of, by name, and the digests of their manifests."""

    @property
    def descriptor(self) -> Descriptor:
        """What names it, with its platform."""
        return replace(self.manifest.descriptor, platform=self.config.platform)


def make_image(
    solved: Solved, *, labels: Mapping[str, str], annotations: Mapping[str, str], epoch: int | None
) -> BuiltImage:
    """The image of a solved stage. Without `epoch` it claims no time: equal builds are equal bytes."""
    created = "" if epoch is None else datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    state = replace(solved.state.image, labels={**solved.state.image.labels, **labels})
    config = dump(state.document(base=solved.base, layers=solved.made, created=created))
    layers = tuple(_oci(layer) for layer in solved.root.layers)
    manifest = build_manifest(Descriptor.of(mediatype.OCI_CONFIG, config), layers, annotations)
    return BuiltImage(ImageConfig.parse(config), manifest)


def _oci(layer: Descriptor) -> Descriptor:
    """The layer as an OCI manifest has it, whatever the base's manifest called it."""
    compression = mediatype.layer_compression(layer.media_type)
    if compression is None:
        raise UnsupportedContent(f"cannot build on a layer of type {layer.media_type}")
    return Descriptor(mediatype.oci_layer(compression), layer.digest, layer.size)


def keep_images(
    store: Store,
    images: tuple[BuiltImage, ...],
    index: Index | None,
    names: tuple[Reference, ...],
    attestations: "Sequence[Attestation]" = (),
) -> Digest:
    """Let the store have the images, and `names` stand for them; without names they are kept nameless. Durable.

    Gives what identifies the result: the image's id, or the index's digest.
    """
    root = images[0].descriptor if index is None else index.descriptor
    refs = [Ref(name, root) for name in names] or [Ref(None, root)]
    identity = images[0].config.image_id if index is None else root.digest
    known = store.refs.read().refs
    if all(ref in known or (ref.name is None and _is_kept(ref, known)) for ref in refs):
        return identity
    with store.transaction() as transaction:
        for image in images:
            transaction.push(image.manifest.config, partial(opened_bytes, image.config.raw))
            transaction.push(image.manifest.descriptor, partial(opened_bytes, image.manifest.raw))
        for each in attestations:
            for layer, statement in zip(each.manifest.layers, each.statements, strict=True):
                transaction.push(layer, partial(opened_bytes, statement))
            transaction.push(each.manifest.config, partial(opened_bytes, each.config))
            transaction.push(each.manifest.descriptor, partial(opened_bytes, each.manifest.raw))
        if index is not None:
            transaction.push(index.descriptor, partial(opened_bytes, index.raw))
        for ref in refs:
            transaction.set_ref(ref)
        transaction.commit()
    return identity


def _is_kept(ref: Ref, known: tuple[Ref, ...]) -> bool:
    return any(other.descriptor == ref.descriptor for other in known)
