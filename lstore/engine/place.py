"""Places that hold images, written as skopeo writes them, and how each is read."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from layerstore.archive.open import open_archive
from layerstore.archive.tar_archive import ImageArchive
from layerstore.content import Source
from layerstore.dataclass import dataclass
from layerstore.errors import NotFound, UsageError
from layerstore.oci.descriptor import Descriptor
from layerstore.oci.platform import Platform
from layerstore.oci.reference import Reference
from layerstore.progress import Progress
from layerstore.tasks import Cancellation
from lstore.engine import catalog

if TYPE_CHECKING:
    from lstore.engine.engine import Engine

Transport = Literal["docker", "store", "oci", "oci-archive", "docker-archive"]
_PREFIXES: dict[str, Transport] = {
    "docker://": "docker",
    "store:": "store",
    "oci:": "oci",
    "oci-archive:": "oci-archive",
    "docker-archive:": "docker-archive",
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where an image is or goes: `path` is a directory or file for layouts and archives, `name` is the name there."""

    transport: Transport
    path: str
    name: str

    @classmethod
    def parse(cls, text: str) -> "Place":
        """The place that ``docker://NAME``, ``store:NAME`` or ``{oci,oci-archive,docker-archive}:PATH[:NAME]`` means.

        Raises `UsageError`.
        """
        for prefix, transport in _PREFIXES.items():
            rest = text.removeprefix(prefix)
            if rest and rest != text:
                if transport in ("docker", "store"):
                    return cls(transport, "", rest)
                path, _, name = rest.partition(":")
                return cls(transport, path, name)
        known = ", ".join(_PREFIXES)
        raise UsageError(
            f"cannot tell what {text!r} is: places begin with {known}", hint="lstore copy --help"
        )

    def __str__(self) -> str:
        prefix = next(prefix for prefix, transport in _PREFIXES.items() if transport == self.transport)
        return prefix + ":".join(part for part in (self.path, self.name) if part)


@contextmanager
def opened(
    engine: "Engine", place: Place, platform: Platform, progress: Progress, cancellation: Cancellation
) -> Iterator[tuple[Source, Descriptor]]:
    """What can be read at `place`, and the root that it names there; in the store, for `platform`.

    Raises `NotFound`, `RegistryError`, `InvalidArchive`, `UsageError`.
    """
    match place.transport:
        case "docker":
            name = Reference.parse(place.name)
            with engine.registries(progress, cancellation) as client:
                repository = client.repository(name)
                yield repository, repository.resolve(name.target)
        case "store":
            yield engine.store.blobs, _in_store(engine, place.name, platform)
        case _:
            with open_archive(place.path, engine.store.layout.ingests) as archive:
                yield archive, _in_archive(archive, place)


def _in_store(engine: "Engine", text: str, platform: Platform) -> Descriptor:
    table = engine.store.refs.read()
    entries = catalog.named(table, text)
    ref = table.find(Reference.parse(text), platform) if entries else None
    if ref is not None:
        return ref.descriptor
    if len(entries) == 1:
        return entries[0].descriptor
    return catalog.one_id(catalog.by_id(catalog.images(engine.store, table), text), text).descriptor


def _in_archive(archive: ImageArchive, place: Place) -> Descriptor:
    if place.name:
        return archive.resolve(place.name)
    images = archive.images()
    if not images:
        raise NotFound(f"{place.path} holds no images")
    if len(images) > 1:
        names = ", ".join(name for image in images for name in image.names) or "none with a name"
        raise UsageError(
            f"{place.path} holds {len(images)} images ({names})", hint=f"lstore copy {place}:NAME …"
        )
    return images[0].root
