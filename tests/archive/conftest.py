"""Archives from bytes, and what is in them."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from layerstore.archive.open import open_archive
from layerstore.archive.tar_archive import ImageArchive

Opener = Callable[[bytes | Path], ImageArchive]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opener]:
    """Opens an archive given as bytes or by its path; closed when the test ends."""
    spool = tmp_path / "spool"
    spool.mkdir()
    with ExitStack() as stack:

        def open_it(archive: bytes | Path) -> ImageArchive:
            if isinstance(archive, bytes):
                path = tmp_path / "archive.tar"
                path.write_bytes(archive)
                archive = path
            return stack.enter_context(open_archive(str(archive), str(spool)))

        yield open_it
