"""What images a store holds: refs → `Image`s, and the words by which people pick one.

An image is known by its *id*, the digest of its configuration. Several refs may stand for one image, and
an index pulled whole stands for several. An image whose documents cannot be read is still listed, with its
`damage`, so that damage to one never hides the others and it can be removed like any.
"""

import re
from collections.abc import Iterable, Iterator

from layerstore.content import read_document, read_manifest
from layerstore.dataclass import dataclass, replace
from layerstore.errors import (
    Conflict,
    InvalidInput,
    LstoreError,
    NotFound,
    StoreDamaged,
    UnsupportedContent,
)
from layerstore.oci import mediatype
from layerstore.oci.config import ImageConfig
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.digest import Digest
from layerstore.oci.manifest import Index, Manifest
from layerstore.oci.platform import Platform, best_match
from layerstore.oci.reference import Reference
from layerstore.store.refs import Ref, RefTable
from layerstore.store.store import Store

_ID = re.compile(r"(?:(?:sha256|sha512):)?(?P<prefix>[0-9a-f]{4,128})\Z")


@dataclass(frozen=True, slots=True)
class Image:
    """One image of one platform, and the refs that stand for it.

    `config` is None for an artifact that is no root filesystem; with `damage`, `manifest` may be None too.
    """

    descriptor: Descriptor
    refs: tuple[Ref, ...]
    manifest: Manifest | None = None
    config: ImageConfig | None = None
    damage: str = ""

    @property
    def id(self) -> Digest:
        """The digest of the configuration; of the manifest, where that cannot be read, and of an artifact."""
        if (
            self.manifest is None or not self.manifest.is_image
        ):  # many artifacts share one empty configuration
            return self.descriptor.digest
        return self.manifest.config.digest

    @property
    def names(self) -> tuple[Reference, ...]:
        """The names that stand for the image, in the order of the refs."""
        return tuple(dict.fromkeys(ref.name for ref in self.refs if ref.name is not None))

    @property
    def is_dangling(self) -> bool:
        """Whether the image has lost its last name."""
        return not self.names

    @property
    def size(self) -> int:
        """Bytes of its content as a registry would send it: configuration and compressed layers."""
        if self.manifest is None:
            return 0
        return self.manifest.config.size + sum(layer.size for layer in self.manifest.layers)

    @property
    def platform(self) -> Platform | None:
        """What it runs on, where that is known."""
        return self.config.platform if self.config is not None else self.descriptor.platform

    @property
    def created(self) -> str:
        """When it was made, RFC 3339; empty where nobody says."""
        return self.config.created if self.config is not None else ""


def images(store: Store, table: RefTable) -> tuple[Image, ...]:
    """The images that the refs of `table` stand for, one per manifest, the most recently made first."""
    found: dict[Digest, Image] = {}
    for ref in table.refs:
        for image in _expand(store, ref):
            known = found.get(image.descriptor.digest)
            found[image.descriptor.digest] = (
                image if known is None else replace(known, refs=(*known.refs, *image.refs))
            )
    return tuple(sorted(found.values(), key=lambda image: image.created, reverse=True))


def _expand(store: Store, ref: Ref) -> Iterator[Image]:
    """The image of `ref`, or each image of its index that the store holds."""
    if not mediatype.is_index(ref.descriptor.media_type):
        yield _read(store, ref.descriptor, ref)
        return
    try:
        index = read_manifest(store.blobs, ref.descriptor)
    except LstoreError as error:
        yield Image(ref.descriptor, (ref,), damage=error.message)
        return
    inner = index.images if isinstance(index, Index) else ()
    for descriptor in inner:
        if store.blobs.has(descriptor):
            yield _read(store, descriptor, ref)


def _read(store: Store, descriptor: Descriptor, ref: Ref) -> Image:
    manifest: Manifest | None = None
    try:
        parsed = read_manifest(store.blobs, descriptor)
        if not isinstance(parsed, Manifest):
            return Image(descriptor, (ref,), damage=f"{descriptor.digest} is an index inside an index")
        manifest = parsed
        if not manifest.is_image:
            return Image(descriptor, (ref,), manifest)
        config = ImageConfig.parse(read_document(store.blobs, manifest.config))
    except LstoreError as error:
        return Image(descriptor, (ref,), manifest, damage=error.message)
    return Image(descriptor, (ref,), manifest, config)


def find(store: Store, text: str, platform: Platform | None = None) -> Image:
    """The image that a host of `platform` (the store's own) means by `text`: a name, name@digest, id or prefix.

    Raises `NotFound`, `Conflict` for a prefix of several ids, `InvalidReference` for text that is neither.
    """
    table = store.refs.read()
    refs = named(table, text)
    if refs:
        found = images(store, RefTable(refs))
        alone = tuple(image for image in found if any(ref.platform is not None for ref in image.refs))
        return preferred((*alone, *found), platform or store.platform)  # as `RefTable.find` prefers them
    return one_id(by_id(images(store, table), text), text)


def for_platform(image: Image, wanted: Platform | None, text: str) -> Image:
    """`image`, asked for as `text`: as in docker, one of another platform than `wanted`, if given, is none.

    Raises `NotFound`.
    """
    if wanted is not None and image.platform is not None and best_match(wanted, [image.platform]) is None:
        raise NotFound(
            f"no such image for {wanted}: {text} is for {image.platform}",
            hint=f"lstore pull --platform {wanted} {text}",
        )
    return image


def parts(image: Image, text: str) -> tuple[Manifest, ImageConfig]:
    """Manifest and configuration of `image`, which was asked for as `text`.

    Raises `StoreDamaged`, and `UnsupportedContent` for an artifact that is no root filesystem.
    """
    if image.damage:
        raise StoreDamaged(f"cannot read image {text}: {image.damage}")
    if image.config is None or image.manifest is None:
        raise UnsupportedContent(f"{text} is an artifact, not an image")
    return image.manifest, image.config


def named(table: RefTable, text: str) -> tuple[Ref, ...]:
    """The entries that `text` names, on every platform; none where it is no name, or of nothing here."""
    try:
        name = Reference.parse(text)
    except InvalidInput:
        return ()
    if name.digest is None:
        return table.named(name)
    return tuple(
        ref
        for ref in table.refs
        if ref.name is not None
        and ref.name.name == name.name
        and name.digest in (ref.resolved, ref.descriptor.digest, ref.name.digest)
    )


def preferred(candidates: tuple[Image, ...], platform: Platform) -> Image:
    """The one of `candidates`, at least one, that `platform` runs best; else the first."""
    known = [image for image in candidates if image.platform is not None]
    position = best_match(platform, [image.platform for image in known if image.platform is not None])
    return candidates[0] if position is None else known[position]


def by_id(candidates: Iterable[Image], text: str) -> tuple[Image, ...]:
    """Those of `candidates` whose id or manifest digest starts with `text`, at least four digits of it."""
    match = _ID.match(text)
    if match is None:
        return ()
    prefix = match["prefix"]
    return tuple(
        image
        for image in candidates
        if image.id.encoded.startswith(prefix) or image.descriptor.digest.encoded.startswith(prefix)
    )


def one_id(candidates: tuple[Image, ...], text: str) -> Image:
    """The image that `candidates`, picked by `text`, agree on. Raises `NotFound` or `Conflict`."""
    if not candidates:
        raise missing(text)
    if len({image.id for image in candidates}) > 1:
        raise Conflict(f"{text} is the start of several image ids", hint="lstore images --no-trunc")
    return candidates[0]


def missing(text: str) -> NotFound:
    """The error for an image that is not here. Raises `InvalidReference` where `text` could name none."""
    if _ID.match(text) is None:
        name = Reference.parse(text)
        return NotFound(f"no such image: {name.familiar}", hint=f"lstore pull {name.familiar}")
    return NotFound(f"no such image: {text}", hint="lstore images")
