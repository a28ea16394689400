"""Refs out of the ruins of an ``index.json``: every name that can still be read, and every image without one.

Whoever repairs keeps the damaged bytes beside the new table (`DAMAGED`), for what only a person can tell.
"""

import json
from collections.abc import Iterator
from typing import cast

from layerstore.content import read_document, read_manifest
from layerstore.dataclass import replace
from layerstore.errors import InvalidInput, LstoreError, StoreDamaged
from layerstore.oci import mediatype
from layerstore.oci.config import ImageConfig
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.digest import Digest
from layerstore.oci.document import MAX_DOCUMENT, Json, dump, parse_object, text
from layerstore.oci.manifest import Index, Manifest
from layerstore.store.closure import ClosureReader
from layerstore.store.refs import Ref, RefTable
from layerstore.store.store import Store

DAMAGED = "index.json.damaged"


def salvage(store: Store, raw: bytes) -> RefTable:
    """The refs that the damaged bytes `raw` still spell, and a nameless one for each whole image beside them.

    An image that an index on disk names is found through that index. The caller holds the store lock.
    """
    reader = ClosureReader(store.blobs)
    table = RefTable(())
    for ref in _readable_refs(raw):
        found = _corrected(store, ref)
        table = table.with_ref(found, reader.of(found.descriptor).manifests)
    whole = [ref.descriptor for ref in table.refs if store.blobs.has_graph(ref.descriptor)]
    reached = {digest for root in whole for digest in reader.of(root).blobs}
    roots = [root for root in _whole_roots(store) if root.digest not in reached]
    return RefTable((*table.refs, *(Ref(None, root) for root in roots)))


def _readable_refs(raw: bytes) -> Iterator[Ref]:
    """The entries that parse one by one, wherever they stand."""
    characters = raw.decode("utf-8", "replace")
    position = characters.find("{")
    while position >= 0:
        try:
            value, end = json.JSONDecoder().raw_decode(characters, position)
        except (ValueError, RecursionError):
            end = position + 1
        else:
            yield from _refs_of(cast(Json, value))
        position = characters.find("{", end)


def _refs_of(value: Json) -> Iterator[Ref]:
    listed = value.get("manifests") if isinstance(value, dict) else None
    for entry in listed if isinstance(listed, list) else [value]:
        try:
            yield Ref.from_json(parse_object(dump(entry), "entry"))
        except (InvalidInput, UnicodeEncodeError):
            continue


def _corrected(store: Store, ref: Ref) -> Ref:
    """`ref` with the media type and size that the blob itself has: damage may have struck there."""
    found = _describe(store, ref.descriptor.digest)
    if found is None:
        return ref
    return replace(ref, descriptor=replace(ref.descriptor, media_type=found.media_type, size=found.size))


def _whole_roots(store: Store) -> list[Descriptor]:
    """Whole manifests and indexes on disk that no other index there names."""
    candidates = [each for digest in store.blobs.paths() if (each := _describe(store, digest)) is not None]
    whole = [each for each in candidates if store.blobs.has_graph(each)]
    below = {child for each in whole for child in _manifests_below(store, each)}
    return [_with_platform(store, each) for each in whole if each.digest not in below]


def _describe(store: Store, digest: Digest) -> Descriptor | None:
    """The descriptor of the manifest or index that the blob is; None for other blobs, and unreadable ones."""
    try:
        size = store.blobs.size(digest)
        if size > MAX_DOCUMENT:
            return None
        data = read_document(store.blobs, Descriptor("application/octet-stream", digest, size))
        if not data.startswith(b"{"):
            return None
        source = parse_object(data, "blob")
        media_type = text(source, "mediaType") or _guess("manifests" in source, "layers" in source)
    except LstoreError:
        return None
    is_known = mediatype.is_manifest(media_type) or mediatype.is_index(media_type)
    return Descriptor(media_type, digest, size) if is_known else None


def _guess(has_manifests: bool, has_layers: bool) -> str:
    """OCI lets documents leave out what they are: image-spec, manifest.md and image-index.md, "mediaType"."""
    if has_manifests:
        return mediatype.OCI_INDEX
    return mediatype.OCI_MANIFEST if has_layers else ""


def _manifests_below(store: Store, node: Descriptor) -> set[Digest]:
    parsed = read_manifest(store.blobs, node)
    return {child.digest for child in parsed.manifests} if isinstance(parsed, Index) else set()


def _with_platform(store: Store, root: Descriptor) -> Descriptor:
    parsed = read_manifest(store.blobs, root)
    if not isinstance(parsed, Manifest) or not parsed.is_image:
        return root
    try:
        platform = ImageConfig.parse(read_document(store.blobs, parsed.config)).platform
    except (InvalidInput, StoreDamaged):
        return root
    return replace(root, platform=platform)
