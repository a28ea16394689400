"""Descriptors: how one piece of content names another. OCI image-spec, descriptor.md."""

from collections.abc import Mapping

from layerstore.dataclass import dataclass, field
from layerstore.errors import InvalidDocument
from layerstore.oci.digest import Digest
from layerstore.oci.document import (
    Json,
    Object,
    as_text,
    child,
    items,
    natural,
    required_text,
    string_map,
    text,
)
from layerstore.oci.platform import Platform

_MAX_URLS = 32
_KNOWN = frozenset({"mediaType", "digest", "size", "platform", "annotations", "artifactType", "urls"})


@dataclass(frozen=True, slots=True)
class Descriptor:
    """Media type, digest and size in bytes of some content, and what else is said of it.

    Equality and hashing go by what identifies the content: media type, digest and size.
    """

    media_type: str
    digest: Digest
    size: int
    platform: Platform | None = field(default=None, compare=False)
    annotations: Mapping[str, str] = field(default_factory=dict, compare=False)
    artifact_type: str = field(default="", compare=False)
    urls: tuple[str, ...] = field(default=(), compare=False)
    extra: Mapping[str, Json] = field(default_factory=dict, compare=False, repr=False)
    """Fields that this version does not know; they survive a round trip."""

    @classmethod
    def of(cls, media_type: str, data: bytes) -> "Descriptor":
        """The descriptor of `data`."""
        return cls(media_type, Digest.of(data), len(data))

    @classmethod
    def from_json(cls, value: Json) -> "Descriptor":
        """The descriptor that a parsed JSON object spells. Raises `InvalidDocument` or `InvalidDigest`."""
        if not isinstance(value, Mapping):
            raise InvalidDocument("a descriptor is not an object")
        source: Object = value
        return cls(
            media_type=required_text(source, "mediaType"),
            digest=Digest.parse(required_text(source, "digest")),
            size=natural(source, "size"),
            platform=Platform.from_json(child(source, "platform")) if source.get("platform") else None,
            annotations=string_map(source, "annotations"),
            artifact_type=text(source, "artifactType"),
            urls=items(source, "urls", as_text, limit=_MAX_URLS),
            extra={key: value for key, value in source.items() if key not in _KNOWN},
        )

    def to_json(self) -> dict[str, Json]:
        """The object as descriptor.md has it, empty fields left out."""
        result: dict[str, Json] = {
            **self.extra,
            "mediaType": self.media_type,
            "digest": str(self.digest),
            "size": self.size,
        }
        if self.platform is not None:
            result["platform"] = self.platform.to_json()
        if self.annotations:
            result["annotations"] = dict(self.annotations)
        if self.artifact_type:
            result["artifactType"] = self.artifact_type
        if self.urls:
            result["urls"] = list(self.urls)
        return result

    def __str__(self) -> str:
        return str(self.digest)
