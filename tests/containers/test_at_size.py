"""Many containers, after and beside one another. LSTORE_CYCLES and LSTORE_CONTAINERS say how many."""

import os

import pytest

from tests.containers.conftest import Lstore
from tests.containers.test_killed import groups_of, processes_of, survey

pytestmark = pytest.mark.root

CYCLES = int(os.environ.get("LSTORE_CYCLES", "10"))
CONTAINERS = int(os.environ.get("LSTORE_CONTAINERS", "12"))


def test_starts_and_stops_leave_nothing(lstore: Lstore) -> None:
    lstore("run", "--rm", "busybox", "true")
    before = survey(lstore)
    lstore("create", "--name", "cycled", "busybox", "sleep", "1000")
    home = lstore.home("cycled")
    for _ in range(CYCLES):
        lstore("start", "cycled")
        lstore("stop", "-t", "0", "cycled")

        assert (processes_of(lstore), groups_of(lstore)) == ([], [])
    files = sorted(path.name for path in home.iterdir() if path.is_file())

    lstore("start", "cycled")
    lstore("stop", "-t", "0", "cycled")

    assert sorted(path.name for path in home.iterdir() if path.is_file()) == files
    lstore("rm", "cycled")
    assert survey(lstore) == before


def test_containers_run_detached_side_by_side(lstore: Lstore) -> None:
    lstore("run", "--rm", "busybox", "true")
    before = survey(lstore)
    names = [f"many{number}" for number in range(CONTAINERS)]

    for name in names:
        lstore.detached("--name", name, "busybox", "sh", "-c", "hostname > /me; exec sleep 1000")
    running = lstore("ps", "--format", "{{.Names}}").split()
    inside = [lstore("exec", name, "cat", "/me") for name in names]

    assert sorted(running) == sorted(names)
    assert inside == [lstore("inspect", "--format", "{{.Id}}", name)[:12] for name in names]
    lstore("rm", "-f", *names)
    assert survey(lstore) == before
