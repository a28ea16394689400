"""What every image goes through that enters the store, whichever way it came: choice, check, name."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from layerstore.content import Source, read_document, read_manifest
from layerstore.dataclass import replace
from layerstore.errors import (
    InvalidInput,
    InvalidLayer,
    LimitExceeded,
    NoMatchingPlatform,
    UnsupportedContent,
)
from layerstore.oci import mediatype
from layerstore.oci.config import ImageConfig
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.digest import Digest
from layerstore.oci.manifest import Index, Manifest
from layerstore.oci.platform import Platform, best_match
from layerstore.progress import Progress
from layerstore.snapshot.unpack import unpack_layers
from layerstore.store.ingest import SinkFactory
from layerstore.store.refs import Ref, RefTable
from layerstore.store.store import keep_packed
from layerstore.store.transaction import Transaction

if TYPE_CHECKING:
    from lstore.engine.engine import Engine


def choose(source: Source, root: Descriptor, platform: Platform) -> Descriptor:
    """The image below `root` that a host of `platform` runs best; `root` itself where it is one image.

    Raises `NoMatchingPlatform`.
    """
    if not mediatype.is_index(root.media_type):
        return root
    index = read_manifest(source, root)
    found = select_platform(index, platform) if isinstance(index, Index) else None
    if found is None:
        offered = (
            dict.fromkeys(str(each.platform) for each in index.images) if isinstance(index, Index) else ()
        )
        raise NoMatchingPlatform(
            f"the image has nothing for {platform}; it has {', '.join(offered) or 'none'}",
            hint=f"lstore pull --platform {next(iter(offered))} …" if offered else None,
        )
    return found


def select_platform(index: Index, platform: Platform) -> Descriptor | None:
    """The image in `index` that a host of `platform` runs best; None where there is none."""
    images = index.images
    position = best_match(platform, [each.platform for each in images if each.platform is not None])
    return None if position is None else images[position]


def unpack_only(source: Source, image: Descriptor | None, *, among_others: bool) -> SinkFactory:
    """Unpack the layers of `image` on their way in; of images that come with it, the blobs will do.

    Raises as `read_manifest` does.
    """
    if image is None:
        return keep_packed
    if not among_others:
        return unpack_layers
    manifest = read_manifest(source, image)
    wanted = {layer.digest for layer in manifest.layers} if isinstance(manifest, Manifest) else set()
    return lambda descriptor, directory: (
        unpack_layers(descriptor, directory) if descriptor.digest in wanted else None
    )


def images_below(
    source: Source, descriptors: Iterable[Descriptor]
) -> tuple[tuple[Manifest, ImageConfig], ...]:
    """Manifest and configuration of each of these images, indexes and artifacts left out.

    Raises as `read_manifest` does, and `InvalidDocument` for a configuration.
    """
    found = []
    for descriptor in descriptors:
        manifest = read_manifest(source, descriptor)
        if isinstance(manifest, Manifest) and manifest.is_image:
            found.append((manifest, ImageConfig.parse(read_document(source, manifest.config))))
    return tuple(found)


def admit(transaction: Transaction, ref: Ref, wanted: Platform | None = None) -> Ref:
    """Check the image that `transaction` holds for `ref`, and let the ref stand for it with its platform.

    Raises `InvalidDocument`, `InvalidLayer` where configuration and layers disagree, `NoMatchingPlatform`
    where it is not for `wanted`, and `UnsupportedContent` for what is no image.
    """
    if mediatype.is_index(ref.descriptor.media_type):
        transaction.set_ref(replace(ref, descriptor=replace(ref.descriptor, platform=None)))
        return ref
    pairs = images_below(transaction, (ref.descriptor,))
    if not pairs:
        hint = f"lstore copy SOURCE store:{ref.name.familiar}" if ref.name is not None else None
        raise UnsupportedContent(f"{ref.name or ref.descriptor} is an artifact, not an image", hint=hint)
    manifest, config = pairs[0]
    check_diff_ids(manifest, config, transaction.diff_ids)
    platform = ref.descriptor.platform or config.platform
    if wanted is not None and best_match(wanted, [platform]) is None:
        raise NoMatchingPlatform(f"{ref.name or ref.descriptor.digest} is for {platform}, not for {wanted}")
    placed = replace(ref, descriptor=replace(ref.descriptor, platform=platform))
    transaction.set_ref(placed)
    return placed


def make_ready(
    engine: "Engine",
    images: Iterable[tuple[Manifest, ImageConfig]],
    admitted: Sequence[Ref],
    before: RefTable,
    progress: Progress,
) -> None:
    """Let the committed `images` be ready to run; where their layers make no tree, `admitted` is taken back.

    `before` are the refs as they were until then. Raises `InvalidLayer`, `LimitExceeded`, `UnsupportedContent`
    for such layers, `StorageError`, for which nothing is taken back: the next run makes them ready.
    """
    try:
        for manifest, config in images:
            engine.snapshotter.ensure(manifest, config, progress)
    except (InvalidInput, LimitExceeded, UnsupportedContent):
        engine.store.update_refs(lambda table: _withdrawn(table, admitted, before))
        raise


def _withdrawn(table: RefTable, admitted: Sequence[Ref], before: RefTable) -> RefTable:
    """`table` without what was admitted just now, and with what had those names."""
    news = [ref for ref in admitted if ref in table.refs and ref not in before.refs]
    table = table.without(news.__contains__)
    for old in before.refs:
        if any(old.gives_way_to(ref) for ref in news):
            table = table.with_ref(old)
    return table


def check_diff_ids(manifest: Manifest, config: ImageConfig, found: dict[Digest, Digest]) -> None:
    """Raises `InvalidLayer` where a layer unpacked to another diff_id than the configuration says.

    `found` maps blob digests to diff_ids, for the layers that were unpacked just now.
    """
    config.check_layers(len(manifest.layers))
    for layer, wanted in zip(manifest.layers, config.diff_ids, strict=True):
        diff_id = found.get(layer.digest, wanted)
        if diff_id != wanted:
            raise InvalidLayer(f"layer {layer.digest} has diff_id {diff_id}, not {wanted} as its image says")
