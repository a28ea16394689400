"""Whatever lstore writes as OCI obeys the OCI schemas that Debian ships: its store, its layouts, its archives."""

import subprocess
from pathlib import Path

import pytest

from fixtures import schemas
from fixtures.command import Lstore
from fixtures.images.entries import file
from fixtures.images.foreign import UMOCI, Foreign
from fixtures.images.layout import ARM64, ImageBuilder, layer
from fixtures.registry import Registry

pytestmark = pytest.mark.package(schemas.PACKAGE)


@pytest.fixture
def filled(lstore: Lstore, images: dict[str, Foreign], registry: Registry, tmp_path: Path) -> Lstore:
    """A store with images that came in every way: loaded, pulled, imported, with an index and an artifact."""
    builder = ImageBuilder()
    pair = [builder.add_image([layer([file("x")])]), builder.add_image([layer([file("y")])], platform=ARM64)]
    builder.add_index(pair, tag="two")
    builder.add_artifact("application/x.test", b"bill", subject=pair[0], tag="bill")
    layout = builder.write(tmp_path / "built")
    pushed = f"docker://{registry.address}/app"
    lstore("copy", "--all-platforms", f"oci:{layout}:two", f"{pushed}:two")
    lstore("copy", f"oci:{layout}:bill", "store:bill")
    lstore("pull", "--all-platforms", f"{registry.address}/app:two")
    lstore("copy", images[UMOCI].place, "store:foreign")
    lstore("save", "--output", tmp_path / "docker.tar", "foreign")
    lstore("rmi", "foreign")
    lstore("load", "--input", tmp_path / "docker.tar")
    (tmp_path / "root").mkdir()
    subprocess.run(["tar", "-C", tmp_path / "root", "-cf", tmp_path / "root.tar", "."], check=True)
    lstore("import", "--change", "CMD x", "--message", "made", tmp_path / "root.tar", "imported")
    return lstore


def test_the_store_in_place_obeys_the_schemas(filled: Lstore) -> None:
    assert len(filled("images", "-q").split()) == 4

    schemas.validate_layout(filled.root / "content")


def test_layouts_and_archives_obey_the_schemas(filled: Lstore, tmp_path: Path) -> None:
    names = filled("images", "--format", "{{.Repository}}:{{.Tag}}").split()
    for name in names:
        filled("copy", "--all-platforms", f"store:{name}", f"oci:{tmp_path}/layout:{name}")
    filled("save", "--format", "oci-archive", "--output", tmp_path / "saved.tar", *names)
    (tmp_path / "saved").mkdir()
    subprocess.run(["tar", "-C", tmp_path / "saved", "-xf", tmp_path / "saved.tar"], check=True)

    schemas.validate_layout(tmp_path / "layout")
    schemas.validate_layout(tmp_path / "saved")
