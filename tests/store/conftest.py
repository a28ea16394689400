"""A store per test, and images to put into it from memory."""

from pathlib import Path

import pytest

from fixtures.images.layout import AMD64
from layerstore.store.store import Store, open_store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store of an amd64 host."""
    return open_store(str(tmp_path / "store"), AMD64)
