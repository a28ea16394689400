"""`inspect`: all there is to know about images, in docker's JSON."""

from collections.abc import Sequence

from layerstore.dataclass import dataclass
from layerstore.errors import LstoreError
from layerstore.oci.document import Json, child, text
from layerstore.store.refs import Ref
from layerstore.store.store import Store
from lstore.engine import catalog
from lstore.engine.catalog import Image


@dataclass(frozen=True, slots=True)
class Inspection:
    """The objects that were found, in the order asked for, and what could not be."""

    objects: tuple[dict[str, Json], ...]
    failures: tuple[LstoreError, ...]


def inspect_images(store: Store, wanted: Sequence[str]) -> Inspection:
    """What is known of each of `wanted`. One that is not there does not hide the others."""
    objects: list[dict[str, Json]] = []
    failures: list[LstoreError] = []
    for name in wanted:
        try:
            objects.append(describe(store, catalog.find(store, name)))
        except LstoreError as error:
            failures.append(error)
    return Inspection(tuple(objects), tuple(failures))


def describe(store: Store, image: Image) -> dict[str, Json]:
    """`image` as ``docker image inspect`` prints it; fields that only docker's engine has are left out.

    Raises `InvalidDocument`.
    """
    document = image.config.document if image.config is not None else {}
    layers = image.config.diff_ids if image.config is not None else ()
    refs = _all_refs(store, image)
    described: dict[str, Json] = {
        "Id": str(image.id),
        "RepoTags": [ref.name.familiar for ref in refs if ref.name is not None and ref.name.digest is None],
        "RepoDigests": repo_digests(refs),
        "Comment": _comment(image),
        "Created": image.created,
        "Author": text(document, "author"),
        "Config": child(document, "config"),
        "Architecture": text(document, "architecture"),
        "Variant": text(document, "variant"),
        "Os": text(document, "os"),
        "Size": image.size,
        "RootFS": {"Type": "layers", "Layers": [str(each) for each in layers]},
        "Descriptor": {
            "mediaType": image.descriptor.media_type,
            "digest": str(image.descriptor.digest),
            "size": image.descriptor.size,
        },
    }
    if image.damage:
        described["Damage"] = image.damage
    return described


def _all_refs(store: Store, image: Image) -> tuple[Ref, ...]:
    """Every ref of the image, those that did not serve to find it too."""
    everything = catalog.images(store, store.refs.read())
    return tuple(dict.fromkeys(ref for each in everything if each.id == image.id for ref in each.refs))


def repo_digests(refs: Sequence[Ref]) -> list[str]:
    """``name@digest`` for each repository that is known to call the image by that digest."""
    found = {
        ref.name.with_digest(ref.resolved).familiar: None
        for ref in refs
        if ref.name is not None and ref.resolved is not None
    }
    return list(found)


def _comment(image: Image) -> str:
    history = image.config.history if image.config is not None else ()
    return history[-1].comment if history else ""
