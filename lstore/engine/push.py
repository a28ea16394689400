"""`push`: an image in the store → its registry, with only the blobs that are not there."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from layerstore.content import children, has_children, read_manifest
from layerstore.copy import copy
from layerstore.dataclass import dataclass, replace
from layerstore.errors import LstoreError, NotFound, UsageError
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.digest import Digest
from layerstore.oci.platform import Platform
from layerstore.oci.reference import Reference
from layerstore.progress import SILENT, Progress
from layerstore.store import forms
from layerstore.store.refs import Ref
from layerstore.store.store import Store
from layerstore.tasks import Cancellation
from layerstore.watch import WatchedTarget
from lstore.engine import catalog
from lstore.engine.packed import DEFAULT, Packing, packed
from registry_client.scope import PUSH

if TYPE_CHECKING:
    from lstore.engine.engine import Engine
    from registry_client.client import Client


@dataclass(frozen=True, slots=True)
class Pushed:
    """An image that its registry now has: the name, and the digest and size in bytes of its manifest there."""

    name: Reference
    digest: Digest
    size: int


def push(
    engine: "Engine",
    name: Reference,
    *,
    platform: Platform | None = None,
    packing: Packing = DEFAULT,
    progress: Progress = SILENT,
) -> Pushed:
    """Let the registry have what `name` stands for in the store; an index pulled whole goes whole.

    Layers made here are compressed on the way, so that the registry knows the image by another digest than
    the store does; the store remembers it.

    Raises `NotFound`, `UsageError` for a name without a tag, `RegistryError`. Idempotent.
    """
    if name.tag is None:
        raise UsageError(f"cannot push {name.familiar}: a digest is no name to push to", hint="lstore tag")
    ref = engine.store.refs.read().find(name, platform or engine.platform)
    if ref is None:
        ref = _only(engine.store, name, platform)
    cancellation = Cancellation()
    with engine.registries(progress, cancellation) as client:
        return _push(engine, client, ref, packing, progress, cancellation)


def push_all_tags(
    engine: "Engine", name: Reference, *, packing: Packing = DEFAULT, progress: Progress = SILENT
) -> Iterable[Pushed]:
    """Push every tag of the repository that `name` is in. Raises as `push` does."""
    refs = [
        ref for ref in engine.store.refs.read().refs if ref.name is not None and ref.name.name == name.name
    ]
    tagged = [ref for ref in refs if ref.name is not None and ref.name.tag is not None]
    if not tagged:
        raise catalog.missing(name.familiar_name)
    cancellation = Cancellation()
    with engine.registries(progress, cancellation) as client:
        for ref in tagged:
            yield _push(engine, client, ref, packing, progress, cancellation)


def _only(store: Store, name: Reference, wanted: Platform | None) -> Ref:
    """The one entry of `name`, though it is for another platform than ours; not than `wanted`, if that is given."""
    entries = store.refs.read().named(name)
    if not entries:
        raise NotFound(f"no such image: {name.familiar}", hint="lstore images")
    platforms = ", ".join(str(ref.platform) for ref in entries)
    if wanted is not None:
        raise NotFound(
            f"no such image for {wanted}: {name.familiar} is for {platforms}", hint="lstore images --tree"
        )
    if len(entries) > 1:
        raise UsageError(f"{name.familiar} is here for {platforms}", hint="lstore push --platform PLATFORM")
    return entries[0]


def _push(
    engine: "Engine",
    client: "Client",
    ref: Ref,
    packing: Packing,
    progress: Progress,
    cancellation: Cancellation,
) -> Pushed:
    if ref.name is None or ref.name.tag is None:
        raise AssertionError
    candidates = _Siblings(engine.store, ref.name)
    repository = client.repository(ref.name, actions=PUSH, candidates=candidates)
    with (
        engine.store.holding(ref.descriptor),
        packed(engine.store, ref.descriptor, packing, progress, cancellation) as (source, root),
    ):
        watched = WatchedTarget(repository, progress, "uploading")
        copy(source, watched, root, cancellation=cancellation)
    repository.tag(root, ref.name.tag)
    if ref.resolved is None or root != ref.descriptor:
        known = replace(ref, resolved=root.digest)
        engine.store.update_refs(lambda table: table.with_ref(known) if ref in table.refs else table)
    return Pushed(ref.name, root.digest, root.size)


class _Siblings:
    """Other repositories of the same registry that have a blob, as far as our own refs tell."""

    def __init__(self, store: Store, name: Reference) -> None:
        self._store = store
        self._name = name
        self._known: dict[Digest, list[str]] | None = None

    def __call__(self, digest: Digest) -> list[str]:
        if self._known is None:
            self._known = self._survey()
        return self._known.get(digest, [])

    def _survey(self) -> dict[Digest, list[str]]:
        found: dict[Digest, list[str]] = {}
        for ref in self._store.refs.read().refs:
            name = ref.name
            if name is None or ref.resolved is None or name.registry != self._name.registry:
                continue
            if name.repository != self._name.repository:
                for digest in self._blobs(ref.descriptor):
                    found.setdefault(digest, []).append(name.repository)
        return found

    def _blobs(self, node: Descriptor) -> list[Digest]:
        if not has_children(node):
            sent = forms.read_forms(self._store.layers.path(node.digest)) or {}
            return [node.digest, *(form.digest for form in sent.values())]
        try:
            below = children(read_manifest(self._store.blobs, node))
        except LstoreError:
            return []  # damage elsewhere costs a mount, not the push
        return [digest for child in below for digest in self._blobs(child)]
