"""What refers to some content: signatures, attestations. Distribution specification, "Listing referrers".

A registry without the referrers API keeps an index under a tag made of the digest ("referrers tag
schema"), which whoever pushes a manifest with a subject has to keep up to date.
"""

from layerstore.dataclass import replace
from layerstore.errors import InvalidDocument, LimitExceeded, NotFound, RegistryError
from layerstore.oci import mediatype
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.digest import Digest
from layerstore.oci.document import MAX_DOCUMENT, items
from layerstore.oci.manifest import MAX_MANIFESTS, Index, Manifest, build_index, parse
from registry_client.listing import pages
from registry_client.site import Site

_ACCEPT = {"Accept": mediatype.OCI_INDEX}


def referrers(site: Site, digest: Digest, artifact_type: str | None) -> tuple[Descriptor, ...]:
    """The manifests whose subject is `digest`, those of `artifact_type` where it is given.

    Raises `RegistryError`, `LimitExceeded`, `InvalidDocument` for an index under the fallback tag.
    """
    query = (("artifactType", artifact_type),) if artifact_type else ()
    url = site.url(f"referrers/{digest}", query)
    asked = site.asked(f"referrers of {site.name}@{digest}")
    found: list[Descriptor] = []
    try:
        for page in pages(site, url, asked, headers=_ACCEPT):
            found.extend(items(page, "manifests", Descriptor.from_json, limit=MAX_MANIFESTS - len(found)))
    except NotFound:
        found = list(_fallback_index(site, digest))
    except InvalidDocument as error:
        raise RegistryError(f"{asked.what}: {error.message}") from error
    # Filtering is the registry's choice, so it is ours to make sure.
    return tuple(each for each in found if artifact_type is None or each.artifact_type == artifact_type)


def record_fallback(site: Site, referrer: Manifest | Index, subject: Digest) -> None:
    """Enter `referrer`, just pushed, under the tag of its `subject`, for a registry without the API.

    The registry has no locks, so of two writers at the same moment one may be forgotten: the
    specification has nothing better. Raises `LimitExceeded` where the index is full.
    """
    known = _fallback_index(site, subject)
    if referrer.descriptor in known:
        return
    if len(known) >= MAX_MANIFESTS:
        raise LimitExceeded(f"{site.name}@{subject} has {len(known)} referrers, which is the limit")
    entry = replace(
        referrer.descriptor, artifact_type=_artifact_type(referrer), annotations=referrer.annotations
    )
    index = build_index((*known, entry))
    url = site.url(f"manifests/{fallback_tag(subject)}")
    headers = {"Content-Type": index.media_type}
    asked = site.asked(f"referrers of {site.name}@{subject}", "push")
    with site.send("PUT", url, headers=headers, body=index.raw) as response:
        site.expect_success(response, asked)


def fallback_tag(digest: Digest) -> str:
    """The tag under which referrers of `digest` stand in a registry without the API."""
    return f"{digest.algorithm[:32]}-{digest.encoded[:64]}"


def _fallback_index(site: Site, digest: Digest) -> tuple[Descriptor, ...]:
    url = site.url(f"manifests/{fallback_tag(digest)}")
    asked = site.asked(f"referrers of {site.name}@{digest}")
    try:
        document = site.read(url, MAX_DOCUMENT, asked, headers=_ACCEPT)
    except NotFound:
        return ()
    parsed = parse(document.data, mediatype.OCI_INDEX)
    return parsed.manifests if isinstance(parsed, Index) else ()


def _artifact_type(referrer: Manifest | Index) -> str:
    if referrer.artifact_type or isinstance(referrer, Index):
        return referrer.artifact_type
    return referrer.config.media_type
