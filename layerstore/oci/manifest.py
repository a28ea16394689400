"""Manifests and indexes: parsed views over exact bytes. Stage "manifest" of docs/flow.md.

OCI image-spec manifest.md and image-index.md; docker's schema 2 is read the same way. The raw bytes
are kept, since they are what the digest names. A body that could be read as both kinds, or whose own
``mediaType`` contradicts the one it came under, is refused (CVE-2021-41190).
"""

from collections.abc import Mapping

from layerstore.dataclass import dataclass
from layerstore.errors import InvalidDocument, UnsupportedContent
from layerstore.oci import mediatype
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.digest import Digest
from layerstore.oci.document import Json, Object, dump, items, natural, parse_object, string_map, text

MAX_LAYERS = 4096
"""Layers in one manifest: eight times what overlayfs could ever stack."""
MAX_MANIFESTS = 4096
"""Manifests in one index."""


@dataclass(frozen=True, slots=True)
class _Document:
    """What manifests and indexes have in common."""

    raw: bytes
    media_type: str
    subject: Descriptor | None
    artifact_type: str
    annotations: Mapping[str, str]

    @property
    def descriptor(self) -> Descriptor:
        """What names these bytes."""
        return Descriptor(self.media_type, Digest.of(self.raw), len(self.raw))


@dataclass(frozen=True, slots=True)
class Manifest(_Document):
    """One image or artifact: its configuration and its layers, bottom first."""

    config: Descriptor
    layers: tuple[Descriptor, ...]

    @property
    def is_image(self) -> bool:
        """Whether it describes a root filesystem, rather than some other artifact."""
        return mediatype.is_config(self.config.media_type)


@dataclass(frozen=True, slots=True)
class Index(_Document):
    """A list of manifests, usually one per platform."""

    manifests: tuple[Descriptor, ...]

    @property
    def images(self) -> tuple[Descriptor, ...]:
        """The manifests that stand for a platform; attestations and artifacts are left out."""
        return tuple(
            each
            for each in self.manifests
            if each.platform is not None and not each.platform.is_unknown and not each.artifact_type
        )


def parse(raw: bytes, media_type: str) -> Manifest | Index:
    """The manifest or index that `raw` spells, which came under `media_type`.

    Raises `UnsupportedContent` for docker's schema 1 and for types that are neither, and
    `InvalidDocument` for everything malformed.
    """
    if mediatype.is_schema1(media_type):
        raise UnsupportedContent(
            "the image has docker's schema 1 manifest, retired in 2017",
            hint="push it again with a current tool",
        )
    if not (mediatype.is_manifest(media_type) or mediatype.is_index(media_type)):
        raise UnsupportedContent(f"{media_type[:120]!r} is neither an image manifest nor an index")
    source = parse_object(raw, "image manifest" if mediatype.is_manifest(media_type) else "image index")
    _check_kind(source, media_type)
    if mediatype.is_manifest(media_type):
        return _manifest(raw, media_type, source)
    return _index(raw, media_type, source)


def _check_kind(source: Object, media_type: str) -> None:
    if natural(source, "schemaVersion") != 2:
        raise InvalidDocument("manifest with a schemaVersion other than 2")
    own = text(source, "mediaType")
    if own and own != media_type:
        raise InvalidDocument(f"a manifest that calls itself {own[:120]!r} came as {media_type!r}")
    if ("layers" in source or "config" in source) and "manifests" in source:
        raise InvalidDocument("a manifest that is also an index")
    if "fsLayers" in source:
        raise InvalidDocument("a manifest that is also a schema 1 manifest")
    needed = ("config", "layers") if mediatype.is_manifest(media_type) else ("manifests",)
    for key in needed:
        if source.get(key) is None:
            raise InvalidDocument(f"manifest without {key!r}")


def _manifest(raw: bytes, media_type: str, source: Object) -> Manifest:
    return Manifest(
        raw=raw,
        media_type=media_type,
        config=Descriptor.from_json(source.get("config")),
        layers=items(source, "layers", Descriptor.from_json, limit=MAX_LAYERS),
        subject=_subject(source),
        artifact_type=text(source, "artifactType"),
        annotations=string_map(source, "annotations"),
    )


def _index(raw: bytes, media_type: str, source: Object) -> Index:
    return Index(
        raw=raw,
        media_type=media_type,
        manifests=items(source, "manifests", Descriptor.from_json, limit=MAX_MANIFESTS),
        subject=_subject(source),
        artifact_type=text(source, "artifactType"),
        annotations=string_map(source, "annotations"),
    )


def _subject(source: Object) -> Descriptor | None:
    value = source.get("subject")
    return None if value is None else Descriptor.from_json(value)


def build_manifest(
    config: Descriptor, layers: tuple[Descriptor, ...], annotations: Mapping[str, str] | None = None
) -> Manifest:
    """A new OCI image manifest of our own, in canonical bytes.

    Raises `LimitExceeded` for more than `parse` would take.
    """
    body: dict[str, Json] = {
        "schemaVersion": 2,
        "mediaType": mediatype.OCI_MANIFEST,
        "config": config.to_json(),
        "layers": [layer.to_json() for layer in layers],
    }
    if annotations:
        body["annotations"] = dict(annotations)
    parsed = parse(dump(body), mediatype.OCI_MANIFEST)
    assert isinstance(parsed, Manifest)  # noqa: S101  # parse returns a Manifest for this media type
    return parsed


def build_index(manifests: tuple[Descriptor, ...], annotations: Mapping[str, str] | None = None) -> Index:
    """A new OCI image index of our own, in canonical bytes.

    Raises `LimitExceeded` for more than `parse` would take.
    """
    body: dict[str, Json] = {
        "schemaVersion": 2,
        "mediaType": mediatype.OCI_INDEX,
        "manifests": [each.to_json() for each in manifests],
    }
    if annotations:
        body["annotations"] = dict(annotations)
    parsed = parse(dump(body), mediatype.OCI_INDEX)
    assert isinstance(parsed, Index)  # noqa: S101  # parse returns an Index for this media type
    return parsed
