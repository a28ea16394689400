"""`rmi`: names are taken away, and an image that nothing names any more goes with what it alone needed.

`plan_removal` decides on values alone; `remove_images` carries it out under one hold of the store lock:
refs first, since what no ref names may go at any later moment.

Containers are in the way as they are in docker's (moby, daemon/images/image_delete.go): the last name of an
image that one was made of goes only by force, and so does the image of one that is stopped. The image of one
that runs stays in any case: by force it loses its name, nothing else. A stopped container keeps the layers that
it stands on, so it can be started, copied from and committed all the same.
"""

from collections.abc import Sequence, Set

from layerstore.dataclass import dataclass, replace
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
from lstore.engine.containers.image_holders import Holder, holders


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
    """What was asked away: the entries, what to say of it, and what could not be removed and why.

    Those of `nameless` stay, without their names.
    """

    doomed: tuple[Ref, ...]
    nameless: tuple[Ref, ...]
    events: tuple[Untagged | Deleted, ...]
    failures: tuple[LstoreError, ...]

    def change(self, table: RefTable) -> RefTable:
        """`table` once this is done."""
        table = table.without({*self.doomed, *self.nameless}.__contains__)
        for ref in self.nameless:
            table = table.with_ref(replace(ref, name=None))
        return table


def remove_images(
    store: Store, snapshotter: Snapshotter, wanted: Sequence[str], *, force: bool = False
) -> Removal:
    """Remove each of `wanted`: names, names with digests, ids and their prefixes. Durable.

    One that cannot be removed does not stop the others; it is among the failures. Blobs and layers that
    other images, containers or running processes need stay. With `force` stopped containers lose their image, and
    an id its names in several repositories. Raises `StorageError`, `StoreDamaged`.
    """
    with store.locked():
        table = store.refs.read()
        standing = holders(store.layout.containers)
        removal = plan_removal(table, catalog.images(store, table), wanted, force=force, standing=standing)
        store.refs.update(removal.change)
        plan(store, snapshotter, with_ingests=False).execute()
    return removal


def plan_removal(
    table: RefTable,
    images: Sequence[Image],
    wanted: Sequence[str],
    *,
    force: bool,
    standing: Sequence[Holder] = (),
) -> Removal:
    """What removing `wanted` takes away; `images` are those of `table`, and the containers `standing` on them."""
    doomed: dict[Ref, None] = {}
    nameless: dict[Ref, None] = {}
    failures: list[LstoreError] = []
    for text in wanted:
        try:
            entries = _entries(table, images, text, force=force)
            unnamed = _unnamed_by(entries, {*doomed, *nameless}, images)
            _check_containers(unnamed, text, standing, is_id=not catalog.named(table, text), force=force)
            run = {holder.image_id for holder in standing if holder.is_running}
            stay = {ref for image in unnamed if str(image.id) in run for ref in image.refs}
        except LstoreError as error:
            failures.append(error)
        else:
            nameless.update(dict.fromkeys(ref for ref in entries if ref in stay))
            doomed.update(dict.fromkeys(ref for ref in entries if ref not in stay))
    events = events_of(tuple(doomed), images, tuple(nameless))
    return Removal(tuple(doomed), tuple(nameless), events, tuple(failures))


def _unnamed_by(entries: Sequence[Ref], gone: Set[Ref], images: Sequence[Image]) -> tuple[Image, ...]:
    """The images that have no name left once `entries` go, where `gone` are gone before."""
    named = {
        image.id
        for image in images
        if any(ref.name is not None and ref not in gone and ref not in entries for ref in image.refs)
    }
    return tuple(
        image for image in images if image.id not in named and any(ref in entries for ref in image.refs)
    )


def _check_containers(
    unnamed: Sequence[Image], text: str, standing: Sequence[Holder], *, is_id: bool, force: bool
) -> None:
    """Raises `Conflict` where a container does not let the images `unnamed` lose their last name, `text`."""
    ids = {str(image.id) for image in unnamed}
    using = [holder for holder in standing if holder.image_id in ids]
    for holder in using:
        if holder.is_running and is_id:
            raise Conflict(
                f"cannot remove {text}: container {holder.name} is running from it",
                hint=f"lstore rm --force {holder.name}",
            )
    if using and not force:
        raise Conflict(
            f"cannot remove {text}: container {using[0].name} uses the image",
            hint=f"lstore rm {using[0].name}, or lstore rmi --force {text}",
        )


def events_of(
    doomed: Sequence[Ref], images: Sequence[Image], nameless: Sequence[Ref] = ()
) -> tuple[Untagged | Deleted, ...]:
    """What is to be said when `doomed`, entries of `images`, go, and `nameless` lose their names.

    That is each name, and each image that has no entry left.
    """
    untagged = dict.fromkeys(ref.name for ref in (*doomed, *nameless) if ref.name is not None)
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
