"""A monitor's process on standby: taken once, ended where nobody takes it, whatever the size of its order."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.containers.conftest import Lstore

pytestmark = pytest.mark.root

_GIVEN_UP = """
import os
from layerstore import linux
from lstore.engine.containers import standby
PR_SET_CHILD_SUBREAPER = 36
linux.prctl(PR_SET_CHILD_SUBREAPER, 1)
waiting = standby.{how}()
standby._called_up.clear()
del waiting
print([os.waitstatus_to_exitcode(os.wait()[1]) for _ in range({processes})])
try:
    os.wait()
except ChildProcessError:
    print("nobody is left")
"""


def _python(code: str) -> tuple[list[str], str]:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    return done.stdout.splitlines(), done.stderr


@pytest.mark.parametrize(("how", "processes"), [("spawn", 2), ("call_up", 1)])
def test_a_monitor_that_nobody_takes_ends_in_good_order(how: str, processes: int) -> None:
    given_up = _GIVEN_UP.format(how=how, processes=processes)

    assert _python(given_up) == ([str([0] * processes), "nobody is left"], "")


_TAKEN = """
from lstore.engine.containers import standby
standby.call_up()
first, second = standby.take(), standby.take()
print(first is second, *(each.carry_out(b"no order", ()) for each in (first, second)))
"""


def test_the_one_that_was_called_up_is_taken_once() -> None:
    assert _python(_TAKEN) == (["False b'' b''"], "")


_COPY = """
import os, sys, time
def opened(pid):
    found = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            found.append(os.readlink(f"/proc/{pid}/fd/{fd}").partition(":")[0])
        except FileNotFoundError:
            found.append("pyc")  # closed meanwhile
    return sorted(found)
from layerstore import linux
from lstore.engine.containers import standby
kept = os.open("/dev/zero", os.O_RDONLY)
os.set_inheritable(kept, True)
linux.prctl(36, 1)  # PR_SET_CHILD_SUBREAPER
standby.call_up()
(pid,) = open(f"/proc/self/task/{os.getpid()}/children").read().split()
read = lambda name: open(f"/proc/{pid}/{name}", "rb").read().strip(b"\\0")
while not read("cmdline").startswith(b"lstore: "):
    time.sleep(0.001)
print(read("cmdline").decode(), read("environ"), os.getsid(int(pid)) != os.getsid(0))
while open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[0] != "S" or "pyc" in str(opened(pid)):
    time.sleep(0.001)  # until it has imported all, and waits
print(*opened(pid))
"""


def test_one_on_standby_has_nothing_of_the_process_it_is_a_copy_of() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _COPY, "--password", "secret"],
        capture_output=True, text=True, check=True, timeout=60, env={"TOKEN": "secret"},
    )  # fmt: skip

    assert done.stdout.splitlines() == [
        "lstore: monitor without an order b'' True",
        "/dev/null /dev/null /dev/null socket",
    ]


@pytest.mark.parametrize("closed", ["0", "1", "2", "0 1 2", "1 2 3"])
def test_a_container_starts_whatever_descriptors_its_launcher_was_born_without(
    lstore: Lstore, closed: str
) -> None:
    closing = " ".join(f"{fd}>&-" for fd in closed.split())
    command = ["/bin/sh", "-c", f'exec {closing}; exec "$@"', "sh", *lstore.command("run", "--rm", "busybox")]

    done = subprocess.run([*command, "sh", "-c", "exit 7"], env=lstore.environment, check=False, timeout=60)

    assert done.returncode == 7


def test_an_order_may_be_larger_than_what_a_socket_holds(lstore: Lstore, tmp_path: Path) -> None:
    values = {f"V{number}": f"{number}" * 10_000 for number in range(10, 60)}
    file = tmp_path / "environment"
    file.write_text("".join(f"{name}={value}\n" for name, value in values.items()))

    seen = lstore("run", "--rm", "--env-file", str(file), "busybox", "env")

    assert {f"{name}={value}" for name, value in values.items()} <= set(seen.splitlines())
