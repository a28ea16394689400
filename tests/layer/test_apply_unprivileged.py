"""`layerstore.layer.apply` without root's privileges: all of an image that its ids can have, and removable again."""

import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fixtures.namespaces import in_user_namespace
from fixtures.torture import make_torture
from fixtures.trees import Facts, tree_facts
from layerstore import linux
from layerstore.disk.trees import remove_tree
from layerstore.errors import MissingFeature
from layerstore.layer.apply import apply_tree
from layerstore.layer.changeset import read_changes
from layerstore.layer.ownership import Ownership
from layerstore.layer.source import TarFile
from layerstore.layer.tar import read_entries
from layerstore.layer.tree import Tree

pytestmark = pytest.mark.root

NOBODY = 65534
SUBORDINATE = 1_000_000
PR_SET_DUMPABLE = 4
TAR_OPTIONS = ("--format=pax", "--numeric-owner", "--sparse", "--xattrs", "--xattrs-include=*", "--acls")


def as_nobody(directory: Path, body: Callable[[], None]) -> None:
    """Run `body` in `directory`, which becomes its own, in a child without any privilege; its failure is ours."""
    os.chown(directory, NOBODY, NOBODY)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.chdir(directory)
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            linux.prctl(PR_SET_DUMPABLE, 1)  # as exec would: /proc/self is the user's again
            body()
        except BaseException as error:
            os.write(writer, f"{type(error).__name__}: {error}".encode()[:4000])
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, "rb") as answers:
        failure = answers.read().decode()
    os.waitpid(pid, 0)
    assert failure == ""


def apply_to(name: str, tar: int) -> None:
    tree = Tree()
    tree.apply(read_changes(read_entries(TarFile(tar))))
    os.mkdir(name)
    target = os.open(name, os.O_RDONLY)
    apply_tree(tree.root, [tar], target, ownership=Ownership.of_process())


@pytest.fixture
def torture(tmp_path: Path) -> Path:
    """The directory with one of everything; beside it, the tar of it."""
    source = make_torture(tmp_path / "source")
    (source / "fifo-again").unlink()  # GNU tar stores a FIFO's second name as another FIFO
    pack_again(source, tmp_path / "layer.tar")
    return source


def pack_again(source: Path, tar: Path) -> None:
    """Let `tar` hold `source` as it is now."""
    command = ["tar", "--create", f"--file={tar}", f"--directory={source}", *TAR_OPTIONS, "."]
    subprocess.run(command, check=True, capture_output=True)


def as_one_user_has_it(facts: Facts) -> Facts:
    """What is left of `facts` when one id without privilege owns everything."""
    privileged = ("trusted.", "security.")
    kept = {name: value for name, value in facts.xattrs.items() if not name.startswith(privileged)}
    return replace(facts, uid=NOBODY, gid=NOBODY, xattrs=kept)


def test_everything_but_owners_devices_and_privileged_attributes_is_there(
    torture: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    tar = os.open(tmp_path / "layer.tar", os.O_RDONLY)
    expected = {
        path: as_one_user_has_it(facts)
        for path, facts in tree_facts(torture).items()
        if facts.kind not in "cb"
    }

    as_nobody(home, lambda: apply_to("fs", tar))

    os.close(tar)
    assert tree_facts(home / "fs") == expected


def test_its_owner_can_remove_it_again(torture: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    tar = os.open(tmp_path / "layer.tar", os.O_RDONLY)

    def body() -> None:
        apply_to("fs", tar)
        remove_tree("fs")

    as_nobody(home, body)

    os.close(tar)
    assert list(home.iterdir()) == []


def test_root_of_a_user_namespace_restores_owners_and_capabilities_within_it(
    torture: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (torture / "far").unlink()
    pack_again(torture, tmp_path / "layer.tar")
    tar = os.open(tmp_path / "layer.tar", os.O_RDONLY)
    expected = {path: facts for path, facts in tree_facts(torture).items() if facts.kind not in "cb"}

    in_user_namespace(home, range(SUBORDINATE, SUBORDINATE + 65_536), lambda: apply_to("fs", tar))

    os.close(tar)
    found = tree_facts(home / "fs")
    assert found.keys() == expected.keys()
    for path, facts in expected.items():
        assert (found[path].uid, found[path].gid) == (facts.uid + SUBORDINATE, facts.gid + SUBORDINATE)
        assert (found[path].mode, found[path].mtime_ns) == (facts.mode, facts.mtime_ns)
        assert found[path].xattrs.keys() == {each for each in facts.xattrs if not each.startswith("trusted.")}


def test_an_owner_outside_of_the_user_namespace_is_a_clear_error(torture: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    tar = os.open(tmp_path / "layer.tar", os.O_RDONLY)

    def body() -> None:
        with pytest.raises(MissingFeature, match=r"cannot give '.*' to 2000000000:4000000000"):
            apply_to("fs", tar)

    in_user_namespace(home, range(SUBORDINATE, SUBORDINATE + 65_536), body)

    os.close(tar)
