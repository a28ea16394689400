"""Random stacks of layers, merged, against the plain model of OCI's rules."""

import hashlib
import os
import stat
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures.images.entries import (
    Entry,
    directory,
    fifo,
    file,
    hardlink,
    make_tar,
    opaque,
    symlink,
    whiteout,
)
from fixtures.observed import Observed, observe_directory, observe_index
from fixtures.oci_model import Model, Refused
from layerstore.errors import InvalidLayer, StorageError, StoreDamaged
from layerstore.layer.changes import Facts
from layerstore.layer.ingest import LayerWriter
from layerstore.layer.merge import MAX_STACKED, layer_facts, may_stack, merge_layers
from layerstore.mount import ErofsImage, MountStack
from layerstore.snapshot.overlay import attach, detach

names = st.sampled_from("abc")
paths = st.lists(names, min_size=1, max_size=3).map("/".join)
targets = st.sampled_from(["a", "b", "c", "/a", "/b/c", "../b", "../../../c", ".", "..", "missing", "a/b/."])
modes = st.sampled_from([0o700, 0o755, 0o4711])
entries = st.one_of(
    st.builds(file, paths, st.binary(max_size=4), mode=modes),
    st.builds(directory, paths, mode=modes),
    st.builds(directory, paths, mode=modes),
    st.builds(symlink, paths, targets),
    st.builds(hardlink, paths, paths),
    st.builds(fifo, paths),
    st.builds(whiteout, paths),
    st.builds(opaque, paths),
    st.just(file(".wh..wh..opq")),
    st.builds(directory, st.just(""), mode=modes),
)
stacks = st.lists(st.lists(entries, max_size=8), min_size=1, max_size=4)


def ingest_stack(base: str, stack: Sequence[Sequence[Entry]]) -> list[str]:
    layers = []
    for number, layer in enumerate(stack):
        layers.append(os.path.join(base, str(number)))
        os.mkdir(layers[-1])
        with LayerWriter(layers[-1]) as writer:
            writer.write(make_tar(layer))
            writer.finish()
    return layers


def observe_merged(base: str, layers: Sequence[str]) -> dict[bytes, Observed]:
    index = os.path.join(base, "merged")
    merge_layers(layers, index)
    tars = [Path(layer, "tar").read_bytes() for layer in layers]
    return observe_index(Path(index).read_bytes(), tars)


KINDS = {
    tarfile.REGTYPE: stat.S_IFREG,
    tarfile.DIRTYPE: stat.S_IFDIR,
    tarfile.SYMTYPE: stat.S_IFLNK,
    tarfile.FIFOTYPE: stat.S_IFIFO,
}


def expected(model: Model) -> dict[bytes, Observed]:
    found = {}
    twins: dict[int, bytes] = {}
    for path, inode, links in sorted(model.links(), key=lambda item: item[0]):
        entry = inode.entry
        is_file = entry.kind == tarfile.REGTYPE
        found[path.encode()] = Observed(
            mode=KINDS[entry.kind] | entry.mode,
            uid=entry.uid,
            gid=entry.gid,
            mtime_ns=int(entry.mtime) * 10**9,
            size=len(entry.data) if is_file else len(entry.target),
            links=links,
            device=(0, 0),
            content=hashlib.sha256(entry.data).hexdigest() if is_file else entry.target,
            xattrs=(),
            twin=twins.setdefault(id(inode), path.encode()),
        )
    return found


@settings(max_examples=300)
@given(stacks)
def test_a_merged_index_shows_what_the_rules_say(stack: Sequence[Sequence[Entry]]) -> None:
    model = Model()
    with tempfile.TemporaryDirectory() as base:
        try:
            for layer in stack:
                model.apply(layer)
        except Refused:
            with pytest.raises(InvalidLayer):
                observe_merged(base, ingest_stack(base, stack))
            return

        found = observe_merged(base, ingest_stack(base, stack))

        assert found == expected(model)


@pytest.mark.root
@settings(max_examples=100)
@given(stacks.map(lambda stack: [[*parents(layer), *layer] for layer in stack]))
def test_where_layers_are_stackable_overlayfs_shows_the_same_as_the_merge(
    stack: Sequence[Sequence[Entry]],
) -> None:
    with tempfile.TemporaryDirectory() as base:
        layers = ingest_stack(base, stack)
        facts = [layer_facts(layer) for layer in layers]
        if not (facts[0].stands_alone and all(fact.is_stackable for fact in facts[1:])):
            return
        if not whiteouts_hide_something(stack):
            return
        merged = observe_merged(base, layers)
        lowers = [ErofsImage(f"{layer}/index", (f"{layer}/tar",)) for layer in reversed(layers)]
        target = os.path.join(base, "mounted")
        os.mkdir(target)
        attach(MountStack(tuple(lowers)), target)
        try:
            stacked = observe_directory(target)
        finally:
            detach(target)

        assert comparable(stacked) == comparable(merged)


def whiteouts_hide_something(stack: Sequence[Sequence[Entry]]) -> bool:
    """Whether they could come from an overlay's upper directory."""
    model = Model()
    for layer in stack:
        names = [
            entry.name for entry in layer if ".wh." in entry.name and not entry.name.endswith(".wh..wh..opq")
        ]
        if not all(name.replace(".wh.", "") in model.files for name in names):
            return False
        model.apply(layer)
    return True


def parents(layer: Sequence[Entry]) -> list[Entry]:
    """Directories above all entries of `layer`, so that none is implied."""
    steps = {entry.name[:at] for entry in layer for at, letter in enumerate(entry.name) if letter == "/"}
    return [directory(step) for step in sorted(steps)]


def comparable(found: dict[bytes, Observed]) -> dict[bytes, Observed]:
    """Without what overlayfs cannot know: links across layers, and the root, which is the upper directory's."""
    return {path: replace(seen, links=0, twin=b"") for path, seen in found.items() if path}


@pytest.mark.root
@settings(max_examples=60)
@given(stacks)
def test_a_mounted_merge_is_what_the_reader_shows(stack: Sequence[Sequence[Entry]]) -> None:
    with tempfile.TemporaryDirectory() as base:
        layers = ingest_stack(base, stack)
        try:
            merged = observe_merged(base, layers)
        except InvalidLayer:
            return
        target = os.path.join(base, "mounted")
        os.mkdir(target)
        devices = tuple(f"{layer}/tar" for layer in layers)
        attach(MountStack((ErofsImage(f"{base}/merged", devices),)), target)
        try:
            mounted = observe_directory(target)
        finally:
            detach(target)

        assert mounted == merged


PLAIN = Facts(1, 1024, stands_alone=True, is_stackable=True)
REMOVING = Facts(1, 1024, stands_alone=False, is_stackable=True)
IMPLYING = Facts(1, 1024, stands_alone=True, is_stackable=False)


@pytest.mark.parametrize(
    ("layers", "merged", "may"),
    [
        ([], 0, True),
        ([PLAIN], 0, True),
        ([IMPLYING], 0, True),
        ([REMOVING], 0, False),
        ([REMOVING], 1, True),
        ([PLAIN, REMOVING, PLAIN], 0, True),
        ([PLAIN, IMPLYING], 0, False),
        ([REMOVING, IMPLYING, PLAIN], 2, True),
        ([PLAIN] * (MAX_STACKED + 1), 0, True),
        ([PLAIN] * (MAX_STACKED + 2), 0, False),
        ([PLAIN] * (MAX_STACKED + 2), 2, True),
    ],
)
def test_layers_stack_where_overlayfs_is_right_and_they_are_few(
    layers: list[Facts], merged: int, may: bool
) -> None:
    assert may_stack(layers, merged=merged) is may


def test_a_merge_of_nothing_is_an_empty_root(tmp_path: Path) -> None:
    assert list(observe_merged(str(tmp_path), [])) == [b""]


def test_five_hundred_and_one_layers_are_one_index(tmp_path: Path) -> None:
    stack = [[file(f"f{number % 7}", b"%d" % number)] for number in range(501)]

    found = observe_merged(str(tmp_path), ingest_stack(str(tmp_path), stack))

    assert found[b"f3"].content == hashlib.sha256(b"500").hexdigest()
    assert len(found) == 8


def test_equal_stacks_merge_into_equal_bytes(tmp_path: Path) -> None:
    layers = ingest_stack(str(tmp_path), [[file("a", b"1")], [whiteout("a"), file("b", b"2")]])

    merge_layers(layers, str(tmp_path / "one"))
    merge_layers(layers, str(tmp_path / "two"))

    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_damaged_layer_index_is_not_merged(tmp_path: Path) -> None:
    (layer,) = ingest_stack(str(tmp_path), [[file("a", b"1")]])
    index = Path(layer, "index")
    index.write_bytes(index.read_bytes()[:-1] + b"x")

    with pytest.raises(StoreDamaged):
        merge_layers([layer], str(tmp_path / "merged"))


def test_a_layer_that_is_missing_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        merge_layers([str(tmp_path / "missing")], str(tmp_path / "merged"))
