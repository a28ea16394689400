"""Images by other people's tools, made once per worker, and the command line over a store of the test's own."""

from pathlib import Path

import pytest

from fixtures.command import Lstore
from fixtures.images.foreign import BUILDAH, UMOCI, Foreign, Workshop
from fixtures.trees import tree_facts

TOOLS = ("umoci", "buildah", "skopeo", "erofs-utils")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All that is here needs root and the tools."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.root)
            for tool in TOOLS:
                item.add_marker(pytest.mark.package(tool))


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """Where the images are made."""
    return Workshop(tmp_path_factory.mktemp("workshop"))


@pytest.fixture(scope="session")
def images(workshop: Workshop) -> dict[str, Foreign]:
    """The images by name; the zstd ones are twins of the others, so that umoci, which has no zstd, can judge them."""
    found: dict[str, Foreign] = {}
    for tag, layout in ((UMOCI, workshop.umoci_layout()), (BUILDAH, workshop.buildah_layout())):
        facts = tree_facts(workshop.unpack(layout, tag, f"unpacked-{tag}"))
        found[tag] = Foreign(layout, tag, facts)
        found[f"{tag}-zstd"] = Foreign(workshop.zstd_twin(layout, tag), tag, facts)
    return found


@pytest.fixture(params=[UMOCI, BUILDAH, f"{UMOCI}-zstd", f"{BUILDAH}-zstd"])
def image(request: pytest.FixtureRequest, images: dict[str, Foreign]) -> Foreign:
    """Each image in turn."""
    return images[request.param]


@pytest.fixture
def lstore(tmp_path: Path) -> Lstore:
    """lstore("pull", "image")."""
    return Lstore(tmp_path, "erofs")


@pytest.fixture(params=["erofs", "directory"])
def any_lstore(request: pytest.FixtureRequest, tmp_path: Path) -> Lstore:
    """The same with each driver in turn."""
    return Lstore(tmp_path, request.param)
