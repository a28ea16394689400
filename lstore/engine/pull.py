"""`pull`: a name in a registry → an image in the store, unpacked on the way."""

from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from layerstore.content import Source
from layerstore.copy import copy
from layerstore.dataclass import dataclass
from layerstore.errors import LstoreError, NoMatchingPlatform
from layerstore.oci.config import ImageConfig
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.digest import Digest
from layerstore.oci.manifest import Manifest
from layerstore.oci.platform import Platform
from layerstore.oci.reference import Reference
from layerstore.progress import SILENT, Progress
from layerstore.store.refs import Ref
from layerstore.tasks import Cancellation
from lstore.engine.admit import admit, choose, images_below, make_ready, unpack_only

if TYPE_CHECKING:
    from lstore.engine.engine import Engine
    from registry_client.client import Client


@dataclass(frozen=True, slots=True)
class Pulled:
    """What a pull came to: the image's name, the digest the registry knows it by, and whether it was news."""

    name: Reference
    digest: Digest
    is_new: bool


def pull(
    engine: "Engine",
    name: Reference,
    *,
    platform: Platform | None = None,
    all_platforms: bool = False,
    progress: Progress = SILENT,
) -> Pulled:
    """Let the store have the image that `name` stands for in its registry now, ready to run. Durable, idempotent.

    Raises `NotFound`, `NoMatchingPlatform`, `RegistryError`, `InvalidInput`, `ContentMismatch`, `StorageError`;
    then no ref has changed, and what was downloaded is there to be resumed.
    """
    cancellation = Cancellation()
    with engine.registries(progress, cancellation) as client:
        return _pull(engine, client, name, _Wish(cancellation, platform, all_platforms), progress)


def pull_all_tags(
    engine: "Engine", name: Reference, *, platform: Platform | None = None, progress: Progress = SILENT
) -> Iterable[Pulled]:
    """Pull every tag of the repository that `name` is in, one after the other. Raises as `pull` does."""
    cancellation = Cancellation()
    with engine.registries(progress, cancellation) as client:
        for tag in client.repository(name).tags():
            yield _pull(engine, client, name.with_tag(tag), _Wish(cancellation, platform), progress)


@dataclass(frozen=True, slots=True)
class _Wish:
    cancellation: Cancellation
    platform: Platform | None = None
    all_platforms: bool = False


def _pull(engine: "Engine", client: "Client", name: Reference, wish: _Wish, progress: Progress) -> Pulled:
    repository = client.repository(name)
    root = repository.resolve(name.target)
    kept = name if name.digest is None else name.with_digest(name.digest)
    platform = wish.platform or engine.platform
    before = engine.store.refs.read()
    present = before.find(kept, platform)
    if present is not None and _is_whole(engine, present, root, wish):
        engine.store.blobs.touch(present.descriptor)
        return Pulled(kept, root.digest, is_new=False)
    native = _native(repository, root, platform, wish)
    chosen = root if wish.all_platforms or native is None else native
    with engine.store.transaction(
        unpack_only(repository, native, among_others=wish.all_platforms), progress, wish.cancellation
    ) as transaction:
        copy(repository, transaction, chosen, cancellation=transaction.cancellation)
        admitted = admit(transaction, Ref(kept, chosen, root.digest), wish.platform)
        transaction.commit()
    if native is not None:
        make_ready(engine, images_below(engine.store.blobs, (native,)), (admitted,), before, progress)
    return Pulled(kept, root.digest, is_new=present is None or present.descriptor != chosen)


def _is_whole(engine: "Engine", present: Ref, root: Descriptor, wish: _Wish) -> bool:
    """Whether what is there is what the registry has now, down to the last file.

    Raises `NoMatchingPlatform` where that is nothing for the platform that is wanted.
    """
    if present.resolved != root.digest or not engine.store.blobs.has_graph(present.descriptor):
        return False
    if wish.all_platforms:
        return present.descriptor == root
    chosen = choose(engine.store.blobs, present.descriptor, wish.platform or engine.platform)
    pairs = images_below(engine.store.blobs, (chosen,))
    return all(_is_ready(engine, manifest, config) for manifest, config in pairs)


def _is_ready(engine: "Engine", manifest: Manifest, config: ImageConfig) -> bool:
    """Whether the image can be mounted, made so where all it needs is here: it was built, and never used."""
    with suppress(LstoreError):
        if not engine.snapshotter.has(config.diff_ids):
            engine.snapshotter.ensure(manifest, config)
        return True
    return False  # and what is damaged comes anew


def _native(source: Source, root: Descriptor, platform: Platform, wish: _Wish) -> Descriptor | None:
    """The image that is to be made ready to run; None where all platforms are wanted and none is ours."""
    try:
        return choose(source, root, platform)
    except NoMatchingPlatform:
        if wish.all_platforms:
            return None
        raise
