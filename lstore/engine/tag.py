"""`tag`: another name for an image."""

from layerstore.dataclass import replace
from layerstore.errors import UsageError
from layerstore.oci.reference import Reference
from layerstore.store.closure import ClosureReader
from layerstore.store.refs import Ref, RefTable
from layerstore.store.store import Store
from lstore.engine import catalog


def tag_image(store: Store, source: str, target: str) -> Reference:
    """Let `target` stand for the image `source`, on each platform that `source` has; the new name comes back.

    A name that stood for another image moves. Idempotent and durable. Raises `NotFound`, `InvalidReference`,
    and `UsageError` for a target with a digest.
    """
    name = Reference.parse(target)
    if name.digest is not None:
        raise UsageError(f"cannot tag {name.familiar}: a digest cannot be chosen")

    def change(table: RefTable) -> RefTable:
        reader = ClosureReader(store.blobs)
        for ref in catalog.named(table, source) or (_by_id(store, table, source),):
            table = table.with_ref(_renamed(ref, name), reader.of(ref.descriptor).manifests)
        return table

    store.update_refs(change)
    return name


def _by_id(store: Store, table: RefTable, text: str) -> Ref:
    image = catalog.one_id(catalog.by_id(catalog.images(store, table), text), text)
    return Ref(None, replace(image.descriptor, platform=image.platform))


def _renamed(ref: Ref, name: Reference) -> Ref:
    """`ref` under `name`; what a registry calls it is known only while it stays in its repository."""
    is_at_home = ref.name is not None and ref.name.name == name.name
    return Ref(name, ref.descriptor, ref.resolved if is_at_home else None)
