"""Every door by which layers come in, as one kind of value: it takes layers and gives them to an engine.

A door writes what it needs into a directory of the test's. What it raises is the engine's own.
"""

import io
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fixtures.images.docker_archive import save_old
from fixtures.images.layout import ImageBuilder, Layer
from fixtures.images.publish import publish
from fixtures.registry import Registry
from layerstore.oci.reference import Reference
from lstore.engine.engine import Engine
from lstore.engine.import_ import ImportRequest, import_image
from lstore.engine.load import load
from lstore.engine.pull import pull

NAME = "docker.io/library/hostile:1"
MOMENT = datetime(2024, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Place:
    """What a door works with."""

    engine: Engine
    directory: Path


Door = Callable[[Place, Sequence[Layer]], str]
"""Brings the layers in as one image, and says what that is called then."""


def write_layout(path: Path, layers: Sequence[Layer]) -> Path:
    builder = ImageBuilder()
    builder.add_image(layers, tag=NAME)
    return builder.write(path)


def pack(layout: Path, archive: Path) -> Path:
    """The layout as one tar."""
    with tarfile.open(archive, "w") as tar:
        tar.add(layout, ".")
    return archive


def by_pull(place: Place, layers: Sequence[Layer]) -> str:
    """From a registry that ends before anybody forks: a child of several threads may find a lock held for good."""
    builder = ImageBuilder()
    builder.add_image(layers, tag="1")
    with Registry(place.directory / "registry") as registry:
        publish(builder.write(place.directory / "layout"), registry.storage, "hostile")
        name = Reference.parse(f"{registry.address}/hostile:1")
        pull(place.engine, name)
    return str(name)


def by_layout(place: Place, layers: Sequence[Layer]) -> str:
    list(load(place.engine, str(write_layout(place.directory / "layout", layers))))
    return NAME


def by_oci_archive(place: Place, layers: Sequence[Layer]) -> str:
    layout = write_layout(place.directory / "layout", layers)
    list(load(place.engine, str(pack(layout, place.directory / "oci.tar"))))
    return NAME


def by_docker_archive(place: Place, layers: Sequence[Layer]) -> str:
    archive = place.directory / "docker.tar"
    archive.write_bytes(save_old([(layers, [NAME])]).to_tar())
    list(load(place.engine, str(archive)))
    return NAME


def by_import(place: Place, layers: Sequence[Layer]) -> str:
    """For one layer alone: the blob is what is imported."""
    (only,) = layers
    import_image(place.engine, io.BytesIO(only.blob), ImportRequest(MOMENT, Reference.parse(NAME)))
    return NAME


DOORS: Mapping[str, Door] = {
    "pull": by_pull,
    "layout": by_layout,
    "oci-archive": by_oci_archive,
    "docker-archive": by_docker_archive,
    "import": by_import,
}
