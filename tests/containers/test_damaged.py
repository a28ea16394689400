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
    checked, repaired = lstore.call("fsck", "-q"), lstore.call("fsck", "-q", "--repair")

    assert refused.splitlines()[-1] == f"  try: lstore rm --force {identifier[:12]}"
    assert (checked.returncode, repaired.returncode) == (1, 1)
    assert checked.stdout.startswith(f"container {identifier}: ")
    assert repaired.stdout.splitlines()[-1].endswith(f"lstore rm --force {identifier[:12]} removes it")
    assert lstore("run", "--rm", "busybox", "echo", "others go on") == "others go on"

    lstore("rm", "--force", identifier[:12])

    assert lstore.leftovers() == []
    assert lstore("fsck", "-q") == "The store is clean"
    lstore("create", "--name", "damaged", "busybox")
