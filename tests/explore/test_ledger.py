"""What layers do to each other, against the plainest model: all paths before a layer, and all paths after it."""

import tarfile
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures.images.entries import Entry, directory, file, hardlink, make_tar, opaque, symlink, whiteout
from fixtures.oci_model import Inode, Model, Refused
from layerstore.errors import InvalidLayer
from layerstore.layer.changeset import read_changes
from layerstore.layer.tar import read_entries
from lstore.engine.ledger import Ledger, Stored

Shown = dict[str, tuple[Inode, Entry]]

paths = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map("/".join)
targets = st.sampled_from(["a", "b", "/a", "/b/c", "../b", "../../../c", "..", "missing", "a/b/."])
modes = st.sampled_from([0o700, 0o755])
entries = st.one_of(
    st.builds(file, paths, st.binary(max_size=4), mode=modes),
    st.builds(directory, paths, mode=modes),
    st.builds(symlink, paths, targets),
    st.builds(hardlink, paths, paths),
    st.builds(whiteout, paths),
    st.builds(opaque, paths),
    st.just(file(".wh..wh..opq")),
    st.builds(directory, st.just(""), mode=modes),
)
stacks = st.lists(st.lists(entries, max_size=8), min_size=1, max_size=4)


class Bytes:
    """A tar in memory, as a source."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def pread(self, offset: int, size: int) -> bytes:
        return self._data[offset : offset + size]

    def length(self) -> int:
        return len(self._data)


def account_of(stack: Sequence[Sequence[Entry]]) -> Ledger:
    ledger = Ledger()
    for layer in stack:
        ledger.apply(read_changes(read_entries(Bytes(make_tar(layer)))))
    return ledger


def shown(model: Model) -> Shown:
    return {path: (inode, inode.entry) for path, inode in model.files.items()}


def letters(before: Shown, after: Shown) -> dict[str, str]:
    """What became of each path."""
    found = {}
    for path in before.keys() | after.keys():
        if path not in before:
            found[path] = "A"
        elif path not in after:
            found[path] = "D"
        elif is_other(before[path], after[path]):
            found[path] = "C"
    return found


def is_other(before: tuple[Inode, Entry], after: tuple[Inode, Entry]) -> bool:
    if before[1].kind == after[1].kind == tarfile.DIRTYPE:
        return before[1].mode != after[1].mode
    return before[0] is not after[0]


def applied(stack: Sequence[Sequence[Entry]]) -> tuple[list[dict[str, str]], Model]:
    """What each layer does, and what all make together. Raises `Refused`."""
    model, found = Model(), []
    for layer in stack:
        before = shown(model)
        model.apply(layer)
        found.append(letters(before, shown(model)))
    return found, model


@settings(max_examples=150)
@given(stacks)
def test_changes_are_what_differs_before_and_after(stack: Sequence[Sequence[Entry]]) -> None:
    try:
        expected, _ = applied(stack)
    except Refused:
        return

    ledger = account_of(stack)

    told = [{each.path.decode(): each.letter for each in account.changes} for account in ledger.layers]
    assert told == expected


@settings(max_examples=100)
@given(stacks)
def test_live_files_are_those_that_the_image_shows(stack: Sequence[Sequence[Entry]]) -> None:
    try:
        _, model = applied(stack)
    except Refused:
        return

    ledger = account_of(stack)

    live = ledger.live()
    kept = [each for account in ledger.layers for each in account.stored if id(each.entry) in live]
    inodes = {id(each): each.entry for each in model.files.values() if each.entry.kind == tarfile.REGTYPE}
    assert sorted(each.size for each in kept) == sorted(len(entry.data) for entry in inodes.values())


def test_a_file_is_charged_to_the_layer_that_took_its_last_name(layered: Sequence[Sequence[Entry]]) -> None:
    ledger = account_of(layered)

    live = ledger.live()
    dead = {
        (each.path, each.layer): ledger.hider(each)
        for account in ledger.layers
        for each in account.stored
        if id(each.entry) not in live
    }
    assert dead == {
        (b"etc/hosts", 0): 1,
        (b"data/twin", 0): 1,
        (b"data/big", 0): 2,
        (b"data/again", 1): 2,
    }


def test_a_hardlink_keeps_a_file_alive_whose_first_name_is_gone() -> None:
    ledger = account_of([[file("a", b"1"), hardlink("b", "a")], [whiteout("a")]])

    stored = ledger.layers[0].stored[0]

    assert id(stored.entry) in ledger.live()


def test_a_path_through_a_symlink_is_told_where_it_really_is() -> None:
    ledger = account_of([[directory("usr"), symlink("lib", "usr/lib")], [file("lib/x", b"1")]])

    assert [stored.path for stored in ledger.layers[1].stored] == [b"usr/lib/x"]


def test_a_file_that_comes_twice_in_one_layer_is_hidden_by_that_layer() -> None:
    ledger = account_of([[file("a", b"first"), file("a", b"second")]])

    first = ledger.layers[0].stored[0]
    assert isinstance(first, Stored)
    assert (id(first.entry) in ledger.live(), ledger.hider(first)) == (False, 0)


def test_a_hundred_thousand_opaque_marks_on_one_directory_are_linear() -> None:
    base = [directory("d"), *(file(f"d/{number}") for number in range(1000))]
    mark = make_tar([opaque("d")])[: tarfile.BLOCKSIZE]
    ledger = account_of([base])

    ledger.apply(read_changes(read_entries(Bytes(mark * 100_000 + bytes(tarfile.RECORDSIZE)))))

    assert len(ledger.layers[1].changes) == 1000


def test_a_loop_of_symlinks_is_refused_as_the_tree_refuses_it() -> None:
    with pytest.raises(InvalidLayer, match="symlinks"):
        account_of([[symlink("a", "b"), symlink("b", "a")], [file("a/x")]])
