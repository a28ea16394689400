"""What one root stands on: its documents, its blobs, its layers. Read from the store, each document once."""

from collections.abc import Iterable

from layerstore.content import Source, children, has_children, read_document, read_manifest
from layerstore.dataclass import dataclass
from layerstore.errors import LstoreError
from layerstore.oci.config import ImageConfig
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.digest import Digest
from layerstore.oci.manifest import Index, Manifest

Stack = tuple[Digest, ...]
"""The diff_ids of one image, bottom first."""


@dataclass(frozen=True, slots=True)
class Closure:
    """All that some roots need. With `damage`, documents that could not be read may need more."""

    manifests: frozenset[Digest] = frozenset()
    blobs: frozenset[Digest] = frozenset()
    """Manifests too."""
    layers: frozenset[Digest] = frozenset()
    stacks: frozenset[Stack] = frozenset()
    damage: tuple[str, ...] = ()


def union(closures: Iterable[Closure]) -> Closure:
    """What all of them need together."""
    parts = list(closures)
    return Closure(
        frozenset().union(*(part.manifests for part in parts)),
        frozenset().union(*(part.blobs for part in parts)),
        frozenset().union(*(part.layers for part in parts)),
        frozenset().union(*(part.stacks for part in parts)),
        tuple(dict.fromkeys(reason for part in parts for reason in part.damage)),
    )


@dataclass(frozen=True, slots=True)
class _Document:
    below: tuple[Descriptor, ...] = ()
    stack: Stack = ()
    damage: str = ""


class ClosureReader:
    """Follows graphs through one source, and remembers what it read."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._documents: dict[Descriptor, _Document] = {}

    def of(self, root: Descriptor) -> Closure:
        """What `root` needs. Raises nothing: what is missing or unreadable is `damage`."""
        seen = {root}
        pending = [root]
        read: list[_Document] = []
        while pending:
            node = pending.pop()
            if has_children(node):
                document = self._document(node)
                read.append(document)
                pending += set(document.below) - seen
                seen.update(document.below)
        return Closure(
            manifests=frozenset(node.digest for node in seen if has_children(node)),
            blobs=frozenset(node.digest for node in seen),
            layers=frozenset(diff_id for document in read for diff_id in document.stack),
            stacks=frozenset(document.stack for document in read if document.stack),
            damage=tuple(document.damage for document in read if document.damage),
        )

    def _document(self, node: Descriptor) -> _Document:
        known = self._documents.get(node)
        if known is None:
            known = self._documents[node] = self._read(node)
        return known

    def _read(self, node: Descriptor) -> _Document:
        try:
            parsed = read_manifest(self._source, node)
            return _Document(children(parsed), self._stack(parsed))
        except LstoreError as error:
            return _Document(damage=error.message)

    def _stack(self, parsed: Manifest | Index) -> Stack:
        """The layers of an image; none where the configuration cannot be read, since they are only derived."""
        if isinstance(parsed, Index) or not parsed.is_image:
            return ()
        try:
            return ImageConfig.parse(read_document(self._source, parsed.config)).diff_ids
        except LstoreError:
            return ()
