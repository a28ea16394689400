"""One file of byte code (`lstore.bytecode`), in a copy of our packages, by the commands of new processes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2]
_ASK = (
    "from lstore import bytecode; bytecode.use(); import {0} as module;"
    "print(type(module.__loader__).__name__, module.__file__, module.__spec__.submodule_search_locations)"
)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Our packages, compiled, without the file."""
    tree = tmp_path_factory.mktemp("compiled")
    for package in ("layerstore", "lstore", "registry_client", "runner"):
        shutil.copytree(_ROOT / package, tree / package, ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run([sys.executable, "-m", "compileall", "-q", tree], check=True)
    return tree


@pytest.fixture
def tree(compiled: Path, tmp_path: Path) -> Path:
    """The packages, for one test."""
    shutil.copytree(compiled, tmp_path / "tree")
    return tmp_path / "tree"


def _python(tree: Path, *arguments: str, **environment: str) -> str:
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, *arguments]
    ran = subprocess.run(
        command, cwd=tree, env=inherited | environment, capture_output=True, text=True, check=True
    )
    return ran.stdout.strip()


def _version(tree: Path, **environment: str) -> str:
    return _python(tree, "-m", "lstore", "--version", **environment)


def _file(tree: Path) -> Path:
    return tree / "lstore" / "__pycache__" / f"modules.{sys.implementation.cache_tag}"


@pytest.mark.parametrize(
    "module", ["lstore.cli.flags", "lstore.cli", "runner.monitor", "layerstore.layer.tar"]
)
def test_modules_of_all_packages_come_from_the_file(tree: Path, module: str) -> None:
    assert _python(tree, "-c", _ASK.format(module)).startswith("SourceFileLoader ")
    _version(tree)
    loader, file, *inside = _python(tree, "-c", _ASK.format(module)).split()
    source = tree / module.replace(".", "/")
    assert loader == "_Loader"
    assert file == str(source / "__init__.py" if source.is_dir() else f"{source}.py")
    assert inside == ([f"['{source}']"] if source.is_dir() else ["None"])


def test_a_changed_source_is_never_taken_from_the_file(tree: Path) -> None:
    before = _version(tree)
    source = tree / "lstore" / "version.py"
    was = source.stat()
    number = before.split()[-1]
    source.write_text(source.read_text().replace(number, "9" * len(number)))
    os.utime(source, (was.st_mtime + 2, was.st_mtime + 2))
    assert source.stat().st_size == was.st_size
    after = _version(tree)
    assert after != before
    assert _version(tree) == after
    assert _python(tree, "-c", _ASK.format("lstore.version")).startswith("_Loader ")


def test_a_new_module_is_found_before_it_is_in_the_file(tree: Path) -> None:
    _version(tree)
    (tree / "lstore" / "newcomer.py").write_text("")
    assert _python(tree, "-c", _ASK.format("lstore.newcomer")).startswith("SourceFileLoader ")
    _version(tree)
    assert _python(tree, "-c", _ASK.format("lstore.newcomer")).startswith("_Loader ")


def test_a_removed_module_is_gone(tree: Path) -> None:
    _version(tree)
    (tree / "lstore" / "bytecode.py").rename(tree / "lstore" / "other.py")
    (tree / "lstore" / "version.py").unlink()
    search = "import sys; sys.dont_write_bytecode = True; from lstore import other; other.use(); import lstore.version"
    with pytest.raises(subprocess.CalledProcessError) as error:
        _python(tree, "-c", search)
    assert "No module named 'lstore.version'" in error.value.stderr


@pytest.mark.parametrize("kept", [0, 5, 40_000, -1])
def test_a_file_that_is_cut_off_is_written_anew(tree: Path, kept: int) -> None:
    before = _version(tree)
    content = _file(tree).read_bytes()
    _file(tree).write_bytes(content[:kept])
    assert _version(tree) == before
    assert len(_file(tree).read_bytes()) >= len(content)
    assert _python(tree, "-c", _ASK.format("lstore.version")).startswith("_Loader ")


def test_another_pythons_file_is_not_read(tree: Path) -> None:
    before = _version(tree)
    content = _file(tree).read_bytes()
    _file(tree).write_bytes(content.replace(content[8:12], b"\0\0\r\n"))
    assert _version(tree) == before


def test_nothing_is_written_where_python_is_not_to(tree: Path) -> None:
    _version(tree, PYTHONDONTWRITEBYTECODE="1")
    assert not _file(tree).exists()


def test_where_nothing_can_be_written_the_command_works(tree: Path) -> None:
    _file(tree).mkdir()
    before = _version(tree)
    assert _version(tree) == before
    assert not list(_file(tree).parent.glob(".tmp*"))


_RESIDENT = """
import re
from lstore import bytecode
bytecode.use()
import runner.monitor
def resident():
    areas = re.split(r"(?m)^(?=[0-9a-f]+-[0-9a-f]+ )", open("/proc/self/smaps").read())
    return sum(int(re.search(r"Rss: +(\\d+)", area)[1]) for area in areas if "/modules." in area)
before = resident()
bytecode.give_back()
print(before > 0, resident())
import runner.bundle
print(type(runner.bundle.__loader__).__name__)
"""


def test_a_file_that_was_given_back_takes_no_memory_and_is_read_all_the_same(tree: Path) -> None:
    _version(tree)

    assert _python(tree, "-c", _RESIDENT).split() == ["True", "0", "_Loader"]
