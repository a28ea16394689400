"""The process that crashes on demand."""

from collections.abc import Iterator

import pytest

from fixtures.crash.zygote import Zygote


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    """One per module, and not per worker: its pipes are open to all that runs in between."""
    with Zygote() as running:
        yield running
