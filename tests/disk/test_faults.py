"""Crash points do nothing until one is armed, and then end the process on the spot."""

import subprocess
import sys

import pytest

from layerstore.disk import faults
from layerstore.disk.faults import CrashPoint

_PROGRAM = """
import sys
from layerstore.disk import faults
point, other = faults.CrashPoint("test: here"), faults.CrashPoint("test: there")
if len(sys.argv) > 1:
    faults.arm(sys.argv[1], int(sys.argv[2]))
for number in range(3):
    print(number, flush=True)
    point.reach()
"""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", _PROGRAM, *arguments], capture_output=True, text=True)


def test_an_unarmed_point_lets_everybody_pass() -> None:
    result = run()

    assert (result.returncode, result.stdout) == (0, "0\n1\n2\n")


def test_an_armed_point_kills_at_the_reach_that_was_asked_for() -> None:
    result = run("test: here", "2")

    assert (result.returncode, result.stdout) == (-9, "0\n1\n")


def test_another_point_armed_changes_nothing() -> None:
    assert run("test: there", "1").returncode == 0


def test_a_name_stands_for_one_place() -> None:
    CrashPoint("test: a name of this test alone")

    with pytest.raises(ValueError, match="twice"):
        CrashPoint("test: a name of this test alone")

    assert "test: a name of this test alone" in faults.names()
