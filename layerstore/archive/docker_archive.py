"""Read docker's archives, from 1.10 on: ``manifest.json`` names configurations and layer tars.

github.com/moby/docker-image-spec, v1.2.md, "Combined Image JSON + Filesystem Changeset Format". Each image
gets an OCI manifest made for it. The configuration stays as it is, and with it the image ID. A layer that
is a plain tar goes by its diff_id, which whoever reads it verifies; only a compressed one is digested here.
"""

import hashlib
import re

from layerstore.archive.layout_index import ArchivedImage
from layerstore.archive.members import Member, Members, shown
from layerstore.archive.tar_archive import Blob, TarArchive
from layerstore.content import CHUNK
from layerstore.dataclass import dataclass, replace
from layerstore.errors import InvalidArchive, InvalidInput, LimitExceeded, UnsupportedContent
from layerstore.layer.codec import MAGIC_SIZE, detect
from layerstore.oci import mediatype
from layerstore.oci.config import ImageConfig
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.digest import Digest
from layerstore.oci.document import MAX_DOCUMENT, Json, as_object, as_text, items, parse_array, required_text
from layerstore.oci.manifest import MAX_LAYERS, build_manifest
from layerstore.oci.mediatype import Compression

MANIFEST_FILE = "manifest.json"
MAX_IMAGES = 4096
"""Images in one archive."""
MAX_NAMES = 4096
"""Names of one image."""
_NAMED_BY_DIGEST = re.compile(r"(?:.*/)?(?:sha256:)?([0-9a-f]{64})(?:\.json)?\Z")


@dataclass(frozen=True, slots=True)
class SavedImage:
    """One element of ``manifest.json``: the members that make up an image, and its names."""

    config: str
    names: tuple[str, ...]
    layers: tuple[str, ...]

    @classmethod
    def from_json(cls, value: Json) -> "SavedImage":
        """The parsed element. Raises `InvalidDocument`, `LimitExceeded`."""
        source = as_object(value)
        return cls(
            config=required_text(source, "Config"),
            names=items(source, "RepoTags", as_text, limit=MAX_NAMES),
            layers=items(source, "Layers", as_text, limit=MAX_LAYERS),
        )

    def to_json(self) -> dict[str, Json]:
        """The element as docker writes it."""
        return {"Config": self.config, "RepoTags": self.names or None, "Layers": self.layers}


def read_saved_images(members: Members) -> tuple[SavedImage, ...]:
    """What ``manifest.json`` lists. Raises `InvalidArchive`, `LimitExceeded`."""
    raw = members.document(MANIFEST_FILE, limit=MAX_DOCUMENT)
    try:
        elements = parse_array(raw, MANIFEST_FILE)
        if len(elements) > MAX_IMAGES:
            raise LimitExceeded(f"{MANIFEST_FILE} has {len(elements)} images, over the limit of {MAX_IMAGES}")
        return tuple(SavedImage.from_json(element) for element in elements)
    except InvalidInput as error:
        raise InvalidArchive(f"cannot read {MANIFEST_FILE}: {error.message}") from error


def read_config(members: Members, name: str) -> ImageConfig:
    """The configuration in the member `name`, whose digest the name spells where it spells one.

    Raises `InvalidArchive`, `LimitExceeded`.
    """
    raw = members.document(name, limit=MAX_DOCUMENT)
    try:
        config = ImageConfig.parse(raw)
    except InvalidInput as error:
        raise InvalidArchive(f"cannot read {shown(name)}: {error.message}") from error
    match = _NAMED_BY_DIGEST.match(name)
    if match is not None and match[1] != config.image_id.encoded:
        raise InvalidArchive(f"{shown(name)} is damaged: its digest is {config.image_id}")
    return config


def read_docker_archive(members: Members) -> TarArchive:
    """The images that ``manifest.json`` lists, once each with all their names.

    Raises `InvalidArchive`, `LimitExceeded`.
    """
    reader = _Reader(members)
    names: dict[Descriptor, list[str]] = {}
    for saved in read_saved_images(members):
        names.setdefault(reader.add(saved), []).extend(saved.names)
    images = tuple(ArchivedImage(tuple(dict.fromkeys(found)), root) for root, found in names.items())
    return TarArchive(members, images, reader.blobs)


class _Reader:
    """Gives every image its manifest; a configuration or layer that several share is read once."""

    def __init__(self, members: Members) -> None:
        self._members = members
        self._configs: dict[str, ImageConfig] = {}
        self._compressed: dict[Member, Descriptor] = {}
        self.blobs: dict[Digest, Blob] = {}

    def add(self, saved: SavedImage) -> Descriptor:
        """The root made for `saved`, whose whole graph is in `blobs`. Raises `InvalidArchive`, `InvalidDocument`."""
        config = self._configs.get(saved.config) or read_config(self._members, saved.config)
        self._configs[saved.config] = config
        if len(config.diff_ids) != len(saved.layers):
            raise InvalidArchive(
                f"{shown(saved.config)} names {len(config.diff_ids)} layers, {MANIFEST_FILE} {len(saved.layers)}"
            )
        layers = tuple(map(self._layer, saved.layers, config.diff_ids))
        manifest = build_manifest(Descriptor.of(mediatype.OCI_CONFIG, config.raw), layers)
        self.blobs[config.image_id] = config.raw
        self.blobs[manifest.descriptor.digest] = manifest.raw
        if config.platform.is_unknown:
            return manifest.descriptor
        return replace(manifest.descriptor, platform=config.platform)

    def _layer(self, name: str, diff_id: Digest) -> Descriptor:
        member = self._members.followed(name)
        compression = self._compression(member)
        if compression == "none":
            layer = Descriptor(mediatype.OCI_LAYER, diff_id, member.size)
        else:
            layer = self._compressed.get(member) or self._digested(member, mediatype.oci_layer(compression))
            self._compressed[member] = layer
        self.blobs.setdefault(layer.digest, member)
        return layer

    def _compression(self, member: Member) -> Compression:
        with self._members.opened(member) as stream:
            try:
                return detect(stream.read(MAGIC_SIZE))
            except UnsupportedContent as error:
                raise UnsupportedContent(f"{shown(member.name)}: {error.message}") from error

    def _digested(self, member: Member, media_type: str) -> Descriptor:
        hasher = hashlib.sha256()
        with self._members.opened(member) as stream:
            while data := stream.read(CHUNK):
                hasher.update(data)
        return Descriptor(media_type, Digest("sha256", hasher.hexdigest()), member.size)
