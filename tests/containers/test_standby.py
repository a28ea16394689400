"""A monitor's process on standby: taken once, ended where nobody takes it, whatever the size of its order."""

import subprocess
import sys
from pathlib import Path

import pytest

from lstore.engine.containers import standby
from tests.containers.conftest import Lstore

pytestmark = pytest.mark.root

_GIVEN_UP = """
import os
from layerstore import linux
from lstore.engine.containers import standby
PR_SET_CHILD_SUBREAPER = 36
linux.prctl(PR_SET_CHILD_SUBREAPER, 1)
waiting = standby.Standby()
del waiting
print([os.waitstatus_to_exitcode(os.wait()[1]) for _ in range(2)])
try:
    os.wait()
except ChildProcessError:
    print("nobody is left")
"""


def test_a_monitor_that_nobody_takes_ends_in_good_order() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _GIVEN_UP], capture_output=True, text=True, check=False, timeout=60
    )

    assert (done.stdout.splitlines(), done.stderr) == (["[0, 0]", "nobody is left"], "")


def test_the_one_that_was_called_up_is_taken_once() -> None:
    standby.call_up()

    first, second = standby.take(), standby.take()

    assert first is not second
    for each in (first, second):
        assert each.carry_out(b"no order", ()) == b""


def test_an_order_may_be_larger_than_what_a_socket_holds(lstore: Lstore, tmp_path: Path) -> None:
    values = {f"V{number}": f"{number}" * 10_000 for number in range(10, 60)}
    file = tmp_path / "environment"
    file.write_text("".join(f"{name}={value}\n" for name, value in values.items()))

    seen = lstore("run", "--rm", "--env-file", str(file), "busybox", "env")

    assert {f"{name}={value}" for name, value in values.items()} <= set(seen.splitlines())
