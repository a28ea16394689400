"""Containers whose files cannot be read: told of, in nobody's way, and removed where that is asked for."""

import pytest

from tests.containers.conftest import Lstore

pytestmark = pytest.mark.root


@pytest.mark.parametrize("name", ["config", "state"])
def test_a_container_that_cannot_be_read_is_removed_by_force_alone(lstore: Lstore, name: str) -> None:
    identifier = lstore("run", "-d", "--name", "damaged", "busybox", "touch", "/written")
    lstore("wait", "damaged")
    (lstore.root / "containers" / identifier / name).write_text("no record")

    refused = lstore.refused("rm", "damaged")

    assert refused.splitlines()[-1] == f"  try: lstore rm --force {identifier[:12]}"
    assert lstore("run", "--rm", "busybox", "echo", "others go on") == "others go on"

    lstore("rm", "--force", identifier[:12])

    assert lstore.leftovers() == []
    lstore("create", "--name", "damaged", "busybox")
