"""The fuzz targets under hypothesis, always: sound inputs changed here and there, whole archives among them."""

import os
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures.fuzz.seeds import seeds
from fixtures.fuzz.targets import TARGETS, check_extents
from fixtures.images.entries import Entry, directory, file, hardlink, make_tar, symlink
from fixtures.raw_tar import END, RawHeader, pax_member
from layerstore.errors import LstoreError
from layerstore.layer.files import INDEX, TAR
from layerstore.layer.merge import merge_layers
from layerstore.layer.tar_writer import index_tar
from layerstore.oci.digest import Digest

SEEDS = {target: list(inputs) for target, inputs in seeds().items()}
settings.register_profile("fuzz", deadline=None)
settings.load_profile("fuzz")


@pytest.mark.parametrize("target", TARGETS)
def test_the_corpus_is_no_finding(target: str) -> None:
    for data in SEEDS[target]:
        TARGETS[target](data)


def mutated(data: bytes, seed: int) -> bytes:
    noise = random.Random(seed)
    changed = bytearray(data)
    for _ in range(noise.randrange(1, 6)):
        at = noise.randrange(len(changed) or 1)
        changed[at : at + noise.randrange(3)] = noise.choice(
            [b"", b"\0", b"9" * 12, b'"', b"{", b"[", b"\xff", b"../", bytes([noise.randrange(256)])]
        )
    if noise.random() < 0.2:
        del changed[noise.randrange(len(changed) or 1) :]
    return bytes(changed)


@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=150)
@given(data=st.data())
def test_mutated_inputs_are_no_finding(target: str, data: st.DataObject) -> None:
    source = data.draw(st.sampled_from(SEEDS[target]))

    TARGETS[target](mutated(source, data.draw(st.integers(0, 2**32))))


NAMES = st.sampled_from(["a", "b", "c", "a/a", "a/b", "b/c/d", "c/a"])
ENTRIES = st.one_of(
    st.builds(file, NAMES, st.binary(max_size=1500)),
    st.builds(directory, NAMES),
    st.builds(symlink, NAMES, NAMES),
    st.builds(hardlink, NAMES, NAMES),
)


def raw_sparse(name: str, size: int) -> bytes:
    records = (
        (b"GNU.sparse.map", b"4,4"),
        (b"GNU.sparse.size", b"%d" % size),
        (b"GNU.sparse.name", name.encode()),
    )
    return pax_member(*records) + RawHeader().member(b"data")


@settings(max_examples=100)
@given(layers=st.lists(st.lists(ENTRIES, max_size=6), min_size=1, max_size=4), sparse=st.integers(8, 5000))
def test_no_merged_index_reads_outside_its_tars(
    tmp_path_factory: pytest.TempPathFactory, layers: list[list[Entry]], sparse: int
) -> None:
    home = tmp_path_factory.mktemp("stack")
    directories = []
    for number, entries in enumerate(layers):
        place = home / str(number)
        place.mkdir()
        tar = make_tar(entries).rstrip(b"\0")
        tar += bytes(-len(tar) % 512) + raw_sparse(f"s{number}", sparse) + END
        (place / TAR).write_bytes(tar)
        try:
            index_tar(str(place / TAR), str(place / INDEX), Digest.of(tar))
        except LstoreError:
            return
        directories.append(str(place))
    try:
        merge_layers(directories, str(home / "merged"))
    except LstoreError:
        return

    sizes = [os.stat(Path(each) / TAR).st_size for each in directories]
    assert check_extents((home / "merged").read_bytes(), sizes) >= 1
