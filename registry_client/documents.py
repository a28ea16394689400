"""Manifests over the wire: named by tag or digest, always verified. Distribution specification, "Pulling manifests"."""

from layerstore.dataclass import dataclass
from layerstore.errors import (
    ContentMismatch,
    InvalidDigest,
    InvalidDocument,
    RegistryError,
    UnsupportedContent,
)
from layerstore.oci import mediatype
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.digest import Digest
from layerstore.oci.document import MAX_DOCUMENT, parse_object, text
from layerstore.oci.manifest import parse
from registry_client.messages import Headers, Response
from registry_client.site import Site

_ACCEPT = {"Accept": ", ".join(mediatype.ACCEPTED)}
_VAGUE = frozenset({"", "application/json", "application/octet-stream", "text/plain"})
"""Types by which some registries and caches call everything."""
_NO_HEAD = frozenset({400, 405, 501})


@dataclass(frozen=True, slots=True)
class Name:
    """What a manifest is asked for by: a tag or a digest of some repository."""

    text: str
    digest: Digest | None
    shown: str
    """The whole reference, for people."""


def resolve(site: Site, name: Name) -> tuple[Descriptor, bytes | None]:
    """What `name` stands for at `site`, and its bytes where they had to be fetched to know.

    A HEAD suffices where a registry answers it fully; a mirror has to show the bytes, so that one that
    serves rubbish is found out while the next can still be asked. A digest that was asked for must be the
    one that comes back (CVE-2025-24882). Raises `NotFound`, `ContentMismatch`, `UnsupportedContent`,
    `InvalidDocument`.
    """
    url, asked = site.url(f"manifests/{name.text}"), site.asked(name.shown)
    if not site.host.is_mirror:
        with site.send("HEAD", url, headers=_ACCEPT) as response:
            if response.status not in _NO_HEAD:
                site.expect_success(response, asked)
                descriptor = _described(response, name)
                if descriptor is not None:
                    return descriptor, None
    document = site.read(url, MAX_DOCUMENT, asked, headers=_ACCEPT)
    stated = stated_digest(document.headers)
    expected = name.digest or stated
    digest = Digest.of(document.data, expected.algorithm if expected is not None else "sha256")
    if expected is not None and digest != expected:
        raise ContentMismatch(
            f"{name.shown}: the manifest that came from {site.name} has the digest {digest}"
        )
    media_type = _media_type(document.headers, document.data)
    descriptor = _supported(Descriptor(media_type, digest, len(document.data)), name)
    parse(document.data, media_type)
    return descriptor, document.data


def fetch(site: Site, descriptor: Descriptor) -> bytes:
    """The verified bytes of the manifest or index `descriptor`.

    Raises `NotFound`, `ContentMismatch`, and `InvalidDocument` where Content-Type, media type and
    body do not agree (CVE-2021-41190).
    """
    what = f"{site.name}@{descriptor.digest}"
    headers = {"Accept": ", ".join(dict.fromkeys((descriptor.media_type, *mediatype.ACCEPTED)))}
    url = site.url(f"manifests/{descriptor.digest}")
    document = site.read(url, MAX_DOCUMENT, site.asked(what), headers=headers)
    _verify(document.data, descriptor, what)
    content_type = _content_type(document.headers)
    if content_type not in _VAGUE and content_type != descriptor.media_type:
        raise InvalidDocument(f"{what} is {descriptor.media_type}, but came as {content_type[:120]!r}")
    parse(document.data, descriptor.media_type)
    return document.data


def _verify(data: bytes, descriptor: Descriptor, what: str) -> None:
    """Raises `ContentMismatch` unless `data` is what `descriptor` names."""
    if len(data) != descriptor.size or Digest.of(data, descriptor.digest.algorithm) != descriptor.digest:
        raise ContentMismatch(f"{what}: the bytes that came are others than {descriptor.digest} names")


def stated_digest(headers: Headers) -> Digest | None:
    """The digest that a registry says its answer has. Raises `RegistryError` for one that is none."""
    value = headers.get("docker-content-digest")
    if not value:
        return None
    try:
        return Digest.parse(value)
    except InvalidDigest as error:
        raise RegistryError(f"cannot use the registry's answer: {error.message}") from error


def _described(response: Response, name: Name) -> Descriptor | None:
    """What a HEAD tells; None where it does not tell enough."""
    digest, size = stated_digest(response.headers), response.headers.natural("content-length")
    media_type = _content_type(response.headers)
    if digest is None or not size or media_type in _VAGUE:
        return None
    if name.digest is not None and digest != name.digest:
        raise ContentMismatch(f"{name.shown}: the registry answered with {digest}")
    return _supported(Descriptor(media_type, digest, size), name)


def _content_type(headers: Headers) -> str:
    return (headers.get("content-type") or "").partition(";")[0].strip().lower()


def _media_type(headers: Headers, data: bytes) -> str:
    content_type = _content_type(headers)
    if content_type not in _VAGUE:
        return content_type
    return text(parse_object(data, "image manifest"), "mediaType") or content_type


def _supported(descriptor: Descriptor, name: Name) -> Descriptor:
    media_type = descriptor.media_type
    if mediatype.is_schema1(media_type):
        raise UnsupportedContent(f"{name.shown} has docker's schema 1 manifest, retired in 2017")
    if not (mediatype.is_manifest(media_type) or mediatype.is_index(media_type)):
        raise UnsupportedContent(
            f"{name.shown} is {media_type[:120]!r}, neither an image manifest nor an index"
        )
    return descriptor
