"""Refs: names stored locally, each for one platform. They live in the content layout's ``index.json``.

Every entry is a descriptor with annotations, so that any OCI tool reads the same names. An image has
one entry per name and platform; pulling another platform never clobbers the native one. An index
pulled whole has an entry without a platform. An entry without a name is an image that lost its last
one (docker's "dangling"), kept until it is pruned. Whichever of the two was named last holds: an index
takes its name from the images of single platforms, and such an image goes before an older index.

A ref's graph is always there whole (docs/adr/0001-refs-name-whole-graphs.md): for an image chosen from
an index the entry names the manifest, and remembers the index's digest under `RESOLVED`.
"""

import errno
import os
from collections.abc import Callable, Iterable, Set

from layerstore.dataclass import dataclass, replace
from layerstore.disk.publish import write_file
from layerstore.errors import InvalidDigest, InvalidInput, InvalidReference, StoreDamaged, storage_error
from layerstore.oci import mediatype
from layerstore.oci.annotation import IMAGE_NAME, REF_NAME
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.digest import Digest
from layerstore.oci.document import Json, dump, items, parse_object
from layerstore.oci.platform import Platform, best_match
from layerstore.oci.reference import DEFAULT_TAG, Reference
from layerstore.store import reserve
from layerstore.store.layout import Layout

RESOLVED = "dev.lstore.resolved"
MAX_INDEX = 256 << 20
"""Bytes of ``index.json``: some half a million images."""
MAX_REFS = 1_000_000


@dataclass(frozen=True, slots=True)
class Ref:
    """`name` stands for `descriptor`; `resolved` is the digest a registry knows it by, where one does."""

    name: Reference | None
    descriptor: Descriptor
    resolved: Digest | None = None

    @property
    def platform(self) -> Platform | None:
        """The platform of a single image; None for an index pulled whole."""
        return self.descriptor.platform

    def is_same_slot(self, other: "Ref") -> bool:
        """Whether both cannot stand side by side: one name, one platform."""
        return self.name is not None and self.name == other.name and self.platform == other.platform

    def gives_way_to(self, newer: "Ref") -> bool:
        """Whether `newer` takes the name from it: in the same slot, or as an index, which is for every platform."""
        is_for_all = mediatype.is_index(newer.descriptor.media_type) and self.name is not None
        return self.is_same_slot(newer) or (is_for_all and self.name == newer.name)

    @classmethod
    def from_json(cls, value: Json) -> "Ref":
        """The ref that an entry of ``index.json`` spells.

        Entries of other tools will do: one whose name is no image reference is a nameless image, whose
        name stays among the annotations. Raises `InvalidInput` for what is no descriptor.
        """
        descriptor = Descriptor.from_json(value)
        annotations = dict(descriptor.annotations)
        name = _parse_name(annotations.get(IMAGE_NAME) or annotations.get(REF_NAME))
        if name is not None:
            annotations.pop(IMAGE_NAME, None)
            annotations.pop(REF_NAME, None)
        resolved = _parse_digest(annotations.pop(RESOLVED, None))
        return cls(name, replace(descriptor, annotations=annotations), resolved)

    def to_json(self) -> dict[str, Json]:
        """The entry of ``index.json``."""
        annotations = dict(self.descriptor.annotations)
        if self.name is not None:
            annotations[REF_NAME] = layout_name(self.name)
            annotations[IMAGE_NAME] = str(self.name)
        if self.resolved is not None:
            annotations[RESOLVED] = str(self.resolved)
        return replace(self.descriptor, annotations=annotations).to_json()


def _parse_name(text: str | None) -> Reference | None:
    try:
        return Reference.parse(text) if text else None
    except InvalidReference:
        return None


def _parse_digest(text: str | None) -> Digest | None:
    try:
        return Digest.parse(text) if text else None
    except InvalidDigest:
        return None


def layout_name(name: Reference) -> str:
    """What other tools call the image in our layout: ``debian`` rather than ``docker.io/library/debian:latest``."""
    if name.tag == DEFAULT_TAG and name.digest is None:
        return name.familiar_name
    return name.familiar


@dataclass(frozen=True, slots=True)
class RefTable:
    """All refs at one moment, an immutable value."""

    refs: tuple[Ref, ...]

    def named(self, name: Reference) -> tuple[Ref, ...]:
        """The entries of `name`, one per platform."""
        return tuple(ref for ref in self.refs if ref.name == name)

    def find(self, name: Reference, platform: Platform) -> Ref | None:
        """The entry that a host of `platform` would use: its own image, else one that is for no platform.

        That is an index, which may hold its image, or an artifact, or an image that another tool named.
        """
        entries = self.named(name)
        single = [ref for ref in entries if ref.platform is not None]
        position = best_match(platform, [ref.platform for ref in single if ref.platform is not None])
        if position is not None:
            return single[position]
        return next((ref for ref in entries if ref.platform is None), None)

    def with_ref(self, ref: Ref, covered: Set[Digest] = frozenset()) -> "RefTable":
        """The table once `ref` has its slot. An image that thereby loses its last name stays, nameless.

        `covered` are the manifests in the graph of `ref`, which need no nameless entry of their own. A nameless
        `ref` to an image that has an entry already changes nothing; one that merely knows better what a
        registry calls it keeps its place.
        """
        if ref.name is None and any(old.descriptor == ref.descriptor for old in self.refs):
            return self
        if any(_is_better_known(old, ref) for old in self.refs):
            return RefTable(tuple(ref if _is_better_known(old, ref) else old for old in self.refs))
        others = [
            old
            for old in self.refs
            if not (old.name is None and old.descriptor == ref.descriptor)
            and not (old.descriptor.digest in covered and (old.name is None or old.gives_way_to(ref)))
        ]
        kept = [old for old in others if not old.gives_way_to(ref)]
        replaced = [old for old in others if old.gives_way_to(ref)]
        return RefTable((*kept, *_nameless(replaced, [*kept, ref]), ref))

    def without(self, doomed: Callable[[Ref], bool]) -> "RefTable":
        """The table without the entries that `doomed` picks."""
        return RefTable(tuple(ref for ref in self.refs if not doomed(ref)))

    def to_bytes(self) -> bytes:
        """The bytes of ``index.json``: an OCI image index."""
        body: dict[str, Json] = {
            "schemaVersion": 2,
            "mediaType": mediatype.OCI_INDEX,
            "manifests": [ref.to_json() for ref in self.refs],
        }
        return dump(body)


def _is_better_known(old: Ref, new: Ref) -> bool:
    return old.is_same_slot(new) and old.descriptor == new.descriptor and old.resolved != new.resolved


def _nameless(replaced: Iterable[Ref], others: Iterable[Ref]) -> list[Ref]:
    named = {ref.descriptor for ref in others}
    return [replace(ref, name=None) for ref in replaced if ref.descriptor not in named]


def parse_table(raw: bytes) -> RefTable:
    """The table that the bytes of ``index.json`` spell. Raises `StoreDamaged`."""
    try:
        source = parse_object(raw, "index.json", limit=MAX_INDEX)
        return RefTable(items(source, "manifests", Ref.from_json, limit=MAX_REFS))
    except InvalidInput as error:
        raise StoreDamaged(f"the store's index.json is damaged: {error.message}") from error


class RefStore:
    """The refs of one store. Reading needs no lock; `update` is called under the store lock."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def read(self) -> RefTable:
        """All refs as of now. Raises `StoreDamaged`, `StorageError`."""
        return parse_table(self.read_bytes())

    def read_bytes(self) -> bytes:
        """The bytes of ``index.json`` as of now. Raises `StoreDamaged`, `StorageError`."""
        try:
            with open(self._layout.index, "rb", buffering=0) as stream:
                if os.fstat(stream.fileno()).st_size > MAX_INDEX:
                    raise StoreDamaged(f"the store's index.json has more than {MAX_INDEX} bytes")
                return stream.readall()
        except FileNotFoundError as error:
            raise StoreDamaged(f"the store at {self._layout.root} has no index.json") from error
        except OSError as error:
            raise storage_error(error, f"read {self._layout.index}") from error

    def update(self, change: Callable[[RefTable], RefTable]) -> RefTable:
        """Durably replace the table by what `change` makes of it. The caller holds the store lock.

        Raises as `read` and `replace` do, and what `change` raises.
        """
        before = self.read_bytes()
        after = change(parse_table(before))
        self.replace(after, before)
        return after

    def replace(self, table: RefTable, before: bytes = b"") -> None:
        """Durably let `table` be all refs, where `before` does not say so already.

        The caller holds the store lock. Raises ``OSError``.
        """
        data = table.to_bytes()
        if data == before:
            return
        try:
            write_file(self._layout.index, data)
        except OSError as error:
            is_removal = len(data) < len(before)
            if not (
                is_removal and error.errno in (errno.ENOSPC, errno.EDQUOT) and reserve.spend(self._layout)
            ):
                raise
            write_file(self._layout.index, data)
        else:
            reserve.keep(self._layout, len(data))
