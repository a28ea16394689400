"""The process that crashes on demand."""

from collections.abc import Iterator

import pytest

from fixtures.crash.zygote import Zygote


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote]:
    """One per worker."""
    with Zygote() as running:
        yield running
