"""The device controllers of both versions of control groups, asked by opening devices."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from layerstore.errors import LaunchError
from runner.cgroups import Group, device_filter
from runner.confinement import Device
from runner.device_rules import allowing, are_needed

pytestmark = pytest.mark.root


def unified() -> Path | None:
    """Where version 2 is mounted, with or without controllers."""
    rows = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    return next((Path(row[1]) for row in rows if row[2] == "cgroup2"), None)


@pytest.fixture
def group() -> Iterator[Path]:
    """An empty group of version 2, of this test alone."""
    root = unified()
    if root is None:
        pytest.skip("no control groups of version 2")
    path = root / f"lstore-test-{os.urandom(4).hex()}"
    path.mkdir()
    yield path
    Group(2, (("cgroup", str(path)),)).remove()


def opened(group: Path, *devices: str) -> list[str]:
    """What a process in `group` can do with `devices`: "r", "w" or both, of each."""
    script = (
        'echo 0 > "$0/cgroup.procs"; for d in "$@"; do r=; w=;'
        ' (: < $d) 2> /dev/null && r=r; (: > $d) 2> /dev/null && w=w; echo "=$r$w"; done'
    )
    done = subprocess.run(
        ["bash", "-c", script, str(group), *devices], capture_output=True, text=True, check=True
    )
    return [line.removeprefix("=") for line in done.stdout.splitlines()]


def test_version_2_allows_what_a_rule_allows_and_nothing_else(group: Path) -> None:
    device_filter.attach(str(group), ["c 1:3 rw", "c 1:5 r", "c 1:7 w", "b *:* rwm"])

    found = opened(group, "/dev/null", "/dev/zero", "/dev/full", "/dev/urandom")

    assert found == ["rw", "r", "w", ""]


def test_a_star_stands_for_every_number(group: Path) -> None:
    device_filter.attach(str(group), ["c 1:* r", "c *:3 w"])

    assert opened(group, "/dev/null", "/dev/zero") == ["rw", "r"]


def test_a_rule_that_is_none_is_an_error() -> None:
    with pytest.raises((ValueError, KeyError)):
        device_filter.assemble(["c 1 rwm"])


def test_only_a_device_that_is_half_open_needs_a_controller() -> None:
    assert not are_needed([Device("/dev/null", "/dev/x", "rw")])
    assert are_needed([Device("/dev/null", "/dev/x", "r")])
    assert "c 1:3 r" in allowing([Device("/dev/null", "/dev/x", "r")])


def test_a_group_that_is_gone_is_a_launch_error(tmp_path: Path) -> None:
    with pytest.raises(LaunchError, match="cannot confine devices"):
        device_filter.attach(str(tmp_path / "gone"), ["c 1:3 rw"])
