"""The system calls are loaded part by part, and all of them where nothing may be imported later."""

import subprocess
import sys

import pytest

from layerstore import linux

CODE = """
import sys
from layerstore import linux
from layerstore.linux import signals
assert "_ctypes" not in sys.modules
linux.{action}
assert "ctypes" not in sys.modules
print(*sorted(name.rpartition(".")[2] for name in sys.modules if name.startswith("layerstore.linux.")))
sys.meta_path.clear()
print(linux.CLONE_NEWNS, linux.MS_PRIVATE, linux.close_range.__name__, linux.set_title.__name__)
"""


def run(action: str) -> "subprocess.CompletedProcess[str]":
    code = CODE.format(action=action)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_a_part_is_loaded_by_who_first_uses_it() -> None:
    assert run("MS_PRIVATE").stdout.splitlines()[0] == "call foreign mounts signals"


def test_nothing_is_left_to_be_imported_once_all_is_loaded() -> None:
    done = run("load_all()")

    assert done.stdout.splitlines()[1:] == [f"{0x20000} {1 << 18} close_range set_title"], done.stderr


@pytest.mark.root
def test_all_is_loaded_before_another_namespace_is_entered() -> None:
    done = run('setns((kept := open("/proc/self/ns/net")).fileno(), linux.CLONE_NEWNET)')

    assert done.stdout.splitlines()[1:] == [f"{0x20000} {1 << 18} close_range set_title"], done.stderr


def test_there_is_no_more_than_there_is() -> None:
    with pytest.raises(AttributeError, match="no attribute 'reboot'"):
        linux.reboot  # type: ignore[attr-defined]  # noqa: B018
