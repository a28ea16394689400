"""The ``index.json`` of an OCI image layout, as an immutable value: which roots it has, by which names.

OCI image-spec, image-layout.md. Names are annotations: a root with several names has an entry for each.
Unknown fields of the index and of its entries survive an edit.
"""

from layerstore.dataclass import dataclass, replace
from layerstore.errors import InvalidArchive, InvalidInput, NotFound, UnsupportedContent
from layerstore.oci import mediatype
from layerstore.oci.annotation import IMAGE_NAME, REF_NAME
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.document import Json, Object, dump, items, natural, parse_object, text
from layerstore.oci.reference import Reference

INDEX_FILE = "index.json"
LAYOUT_FILE = "oci-layout"
LAYOUT_VERSION = "1.0.0"
LAYOUT_BYTES = dump({"imageLayoutVersion": LAYOUT_VERSION})
MAX_LAYOUT_FILE = 4096
"""Bytes in the file ``oci-layout``; it needs thirty."""
MAX_INDEX = 64 << 20
"""Bytes in ``index.json``: a layout may be a whole store."""
MAX_ENTRIES = 200_000
"""Names in one layout."""


@dataclass(frozen=True, slots=True)
class ArchivedImage:
    """One root of an archive or layout, and all its names; images saved by their ID alone have none."""

    names: tuple[str, ...]
    root: Descriptor


@dataclass(frozen=True, slots=True)
class LayoutIndex:
    """A parsed ``index.json``; `document` holds the fields besides its entries."""

    entries: tuple[Descriptor, ...]
    document: Object

    @classmethod
    def empty(cls) -> "LayoutIndex":
        """An index that names nothing."""
        return cls((), {"schemaVersion": 2, "mediaType": mediatype.OCI_INDEX})

    @classmethod
    def parse(cls, raw: bytes) -> "LayoutIndex":
        """The index that `raw` spells. Raises `InvalidArchive` or `LimitExceeded`."""
        try:
            fields = parse_object(raw, INDEX_FILE, limit=MAX_INDEX)
            _check_kind(fields)
            entries = items(fields, "manifests", Descriptor.from_json, limit=MAX_ENTRIES)
        except InvalidInput as error:
            raise InvalidArchive(f"cannot read {INDEX_FILE}: {error.message}") from error
        return cls(entries, {key: value for key, value in fields.items() if key != "manifests"})

    def images(self) -> tuple[ArchivedImage, ...]:
        """Every root once, with all its names, in the order of the index."""
        names: dict[Descriptor, dict[str, None]] = {}
        for entry in self.entries:
            found = names.setdefault(entry, {})
            if name := name_of(entry):
                found[name] = None
        return tuple(ArchivedImage(tuple(found), unnamed(root)) for root, found in names.items())

    def resolve(self, name: str) -> Descriptor:
        """The root called `name`: by either annotation, or by its digest. Raises `NotFound`."""
        for entry in self.entries:
            if name in (
                entry.annotations.get(REF_NAME),
                entry.annotations.get(IMAGE_NAME),
                str(entry.digest),
            ):
                return unnamed(entry)
        raise NotFound(f"no image is named {name!r} in {INDEX_FILE}")

    def with_name(self, root: Descriptor, name: str) -> "LayoutIndex":
        """The index once `name` stands for `root` and nothing else; an entry of `root` without a name is used up."""
        entry = named(root, name)
        kept = tuple(
            each
            for each in self.entries
            if name not in (each.annotations.get(REF_NAME), name_of(each))
            and not (each == root and name_of(each) is None)
        )
        return replace(self, entries=(*kept, entry))

    def with_root(self, root: Descriptor) -> "LayoutIndex":
        """The index once it lists `root`, without a name unless it has one already."""
        return self if root in self.entries else replace(self, entries=(*self.entries, unnamed(root)))

    def to_bytes(self) -> bytes:
        """The bytes of ``index.json``."""
        manifests: list[Json] = [entry.to_json() for entry in self.entries]
        return dump({**self.document, "manifests": manifests})


def check_layout_file(raw: bytes) -> None:
    """Raises `InvalidArchive` unless `raw` is a sound ``oci-layout``, `UnsupportedContent` for another version."""
    try:
        version = text(parse_object(raw, LAYOUT_FILE, limit=MAX_LAYOUT_FILE), "imageLayoutVersion")
    except InvalidInput as error:
        raise InvalidArchive(f"cannot read {LAYOUT_FILE}: {error.message}") from error
    if version != LAYOUT_VERSION:
        raise UnsupportedContent(f"image layout of version {version[:40]!r}; lstore reads {LAYOUT_VERSION}")


def _check_kind(fields: Object) -> None:
    """An index and nothing else (CVE-2021-41190); as in image-spec, it need not say its media type."""
    if natural(fields, "schemaVersion") != 2 or text(fields, "mediaType") not in ("", mediatype.OCI_INDEX):
        raise InvalidArchive(f"{INDEX_FILE} is no OCI image index")
    if "layers" in fields or "config" in fields or fields.get("manifests") is None:
        raise InvalidArchive(f"{INDEX_FILE} is no image index, or not that alone")


def name_of(entry: Descriptor) -> str | None:
    """What an entry of an index calls its root: the whole reference where one is given."""
    return entry.annotations.get(IMAGE_NAME) or entry.annotations.get(REF_NAME) or None


def unnamed(entry: Descriptor) -> Descriptor:
    """`entry` without the annotations that name it."""
    kept = {key: value for key, value in entry.annotations.items() if key not in (REF_NAME, IMAGE_NAME)}
    return replace(entry, annotations=kept)


def named(root: Descriptor, name: str) -> Descriptor:
    """The entry that calls `root` by `name`; a whole reference is spelt in containerd's annotation too."""
    names = {REF_NAME: name, IMAGE_NAME: name} if _is_whole_reference(name) else {REF_NAME: name}
    return replace(root, annotations={**unnamed(root).annotations, **names})


def _is_whole_reference(name: str) -> bool:
    try:
        return str(Reference.parse(name)) == name
    except InvalidInput:
        return False
