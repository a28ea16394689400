"""What the client's tests share: an image, a simulated registry that has it, and a client."""

from pathlib import Path

import pytest

from fixtures.network import SimulatedRegistry
from layerstore.oci.reference import Reference
from registry_client.settings import Settings
from tests.registry_client.world import HOST, NAME, Image, World


@pytest.fixture
def image() -> Image:
    """An image."""
    return Image()


@pytest.fixture
def simulated(tmp_path: Path, image: Image) -> SimulatedRegistry:
    """A registry that has the image as team/app:latest."""
    registry = SimulatedRegistry(tmp_path / "registry")
    image.put_into(registry)
    return registry


@pytest.fixture
def world(simulated: SimulatedRegistry) -> World:
    """The registry alone in the world, as registry.example."""
    return World({HOST: simulated}, Settings())


@pytest.fixture
def reference() -> Reference:
    """What the image is called."""
    return Reference.parse(NAME)
