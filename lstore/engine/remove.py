"""`rmi`: names are taken away, and an image that nothing names any more goes with what it alone needed.

`plan_removal` decides on values alone; `remove_images` carries it out under one hold of the store lock:
refs first, since what no ref names may go at any later moment.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from layerstore.errors import Conflict, LstoreError, NotFound
from layerstore.oci import mediatype
from layerstore.oci.digest import Digest
from layerstore.oci.reference import Reference
from layerstore.snapshot.snapshotter import Snapshotter
from layerstore.store.refs import Ref, RefTable
from layerstore.store.store import Store
from lstore.engine import catalog
from lstore.engine.catalog import Image
from lstore.engine.collect import plan


@dataclass(frozen=True, slots=True)
class Untagged:
    """A name that stands for nothing here any more."""

    name: Reference

    def __str__(self) -> str:
        return f"Untagged: {self.name.familiar}"


@dataclass(frozen=True, slots=True)
class Deleted:
    """The id of an image that is gone."""

    id: Digest

    def __str__(self) -> str:
        return f"Deleted: {self.id}"


@dataclass(frozen=True, slots=True)
class Removal:
    """What was asked away: the entries, what to say of it, and what could not be removed and why."""

    doomed: tuple[Ref, ...]
    events: tuple[Untagged | Deleted, ...]
    failures: tuple[LstoreError, ...]


def remove_images(
    store: Store, snapshotter: Snapshotter, wanted: Sequence[str], *, force: bool = False
) -> Removal:
    """Remove each of `wanted`: names, names with digests, ids and their prefixes. Durable.

    One that cannot be removed does not stop the others; it is among the failures. Blobs and layers that
    other images, containers or running processes need stay. Raises `StorageError`, `StoreDamaged`.
    """
    with store.locked():
        table = store.refs.read()
        removal = plan_removal(table, catalog.images(store, table), wanted, force=force)
        store.refs.update(lambda table: table.without(removal.doomed.__contains__))
        plan(store, snapshotter, with_ingests=False).execute()
    return removal


def plan_removal(table: RefTable, images: Sequence[Image], wanted: Sequence[str], *, force: bool) -> Removal:
    """What removing `wanted` takes away; `images` are those of `table`."""
    doomed: dict[Ref, None] = {}
    failures: list[LstoreError] = []
    for text in wanted:
        try:
            doomed.update(dict.fromkeys(_entries(table, images, text, force=force)))
        except LstoreError as error:
            failures.append(error)
    return Removal(tuple(doomed), events_of(tuple(doomed), images), tuple(failures))


def events_of(doomed: Sequence[Ref], images: Sequence[Image]) -> tuple[Untagged | Deleted, ...]:
    """What is to be said when `doomed`, entries of `images`, go: each name, and each image that has none left."""
    untagged = dict.fromkeys(ref.name for ref in doomed if ref.name is not None)
    kept = {image.id for image in images if any(ref not in doomed for ref in image.refs)}
    gone = dict.fromkeys(image.id for image in images if image.id not in kept)
    return (*map(Untagged, untagged), *map(Deleted, gone))


def _entries(table: RefTable, images: Sequence[Image], text: str, *, force: bool) -> tuple[Ref, ...]:
    """The entries that `text` asks away. Raises `NotFound`, `Conflict`."""
    named = catalog.named(table, text)
    if named:
        exact = tuple(ref for ref in named if str(ref.name) == str(Reference.parse(text)))
        return exact or named
    found = catalog.by_id(images, text)
    if not found:
        raise NotFound(catalog.missing(text).message, hint="lstore images")
    image = catalog.one_id(found, text)
    entries = tuple(ref for each in images if each.id == image.id for ref in each.refs)
    if not force:
        _check_sole(image, entries, images)
    return entries


def _check_sole(image: Image, entries: tuple[Ref, ...], images: Sequence[Image]) -> None:
    """Raises `Conflict` where more would go than one repository's image."""
    repositories = sorted({ref.name.familiar_name for ref in entries if ref.name is not None})
    if len(repositories) > 1:
        raise Conflict(
            f"cannot remove {image.id.short}: it has names in {', '.join(repositories)}",
            hint=f"lstore rmi --force {image.id.short}",
        )
    for ref in entries:
        siblings = {each.id for each in images if ref in each.refs}
        if mediatype.is_index(ref.descriptor.media_type) and len(siblings) > 1 and ref.name is not None:
            raise Conflict(
                f"cannot remove {image.id.short}: {ref.name.familiar} holds {len(siblings)} platforms",
                hint=f"lstore rmi {ref.name.familiar}",
            )
