"""Containers with limits, and this process's own control groups to look at."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.containers import Containers, unpack_busybox
from runner import cgroups


@pytest.fixture(scope="session")
def busybox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root filesystem with busybox. Not to be written to."""
    root = tmp_path_factory.mktemp("busybox")
    unpack_busybox(root)
    root.chmod(0o755)
    return root


@pytest.fixture
def containers(busybox: Path, tmp_path: Path) -> Iterator[Containers]:
    """Containers whose control groups go even where a test killed their launcher."""
    made = Containers(busybox, tmp_path)
    yield made
    for place in made.made:
        cgroups.remove(str(place / "state"))
