"""What the tests of layers share: layers ingested into directories."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from layerstore.layer.ingest import LayerWriter

Ingest = Callable[[bytes], str]


@pytest.fixture
def ingest(tmp_path: Path) -> Ingest:
    """Ingests a blob into a fresh directory, and names that."""
    made: list[str] = []

    def ingest_blob(blob: bytes) -> str:
        directory = str(tmp_path / f"layer{len(made)}")
        made.append(directory)
        os.mkdir(directory)
        with LayerWriter(directory) as writer:
            writer.write(blob)
            writer.finish()
        return directory

    return ingest_blob
