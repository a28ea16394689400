"""The survey of an image, its numbers and its JSON."""

import json
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.images.entries import Entry as TarEntry
from fixtures.images.entries import file, hardlink, whiteout
from layerstore.errors import NotFound
from layerstore.layer.entry import Entry, Kind
from lstore.engine.engine import Engine
from lstore.engine.explore import Survey, explore
from lstore.engine.explore_report import report
from lstore.engine.file_tree import Item, grow, walk
from tests.explore.conftest import HOSTILE, Keep, Stack

SCHEMA = json.loads((Path(__file__).parents[2] / "docs/explore.schema.json").read_text())

paths = st.lists(st.sampled_from([b"a", b"b", b"c"]), min_size=1, max_size=4).map(b"/".join)


@pytest.fixture
def survey(engine: Engine, keep: Keep, layered: Stack) -> Survey:
    return explore(engine, keep(layered))


def test_every_stored_byte_is_either_shown_or_wasted(survey: Survey) -> None:
    stored = 100 + 1000 + 300 + 150 + 300 + 50 + 10

    assert (survey.stored, survey.wasted) == (stored, 100 + 1000 + 300 + 300)
    assert survey.whole.size == survey.stored - survey.wasted == 150 + 50 + 10
    assert survey.efficiency == pytest.approx(210 / stored)


def test_layers_tell_what_they_do(survey: Survey) -> None:
    told = [
        (each.added, each.changed, each.deleted, each.stored, each.wasted, each.hides)
        for each in survey.layers
    ]

    assert told == [
        (8, 0, 0, 1400, 1400, 0),
        (3, 1, 1, 500, 300, 400),
        (1, 0, 2, 10, 0, 1300),
    ]


def test_waste_names_the_layers_that_store_and_hide_it(survey: Survey) -> None:
    told = [(each.path, each.size, [(s.layer, by) for s, by in each.copies]) for each in survey.waste]

    assert told == [
        (b"data/big", 1000, [(0, 2)]),
        (b"data/again", 300, [(1, 2)]),
        (b"data/twin", 300, [(0, 1)]),
        (b"etc/hosts", 100, [(0, 1)]),
    ]


def test_copies_are_found_across_layers(survey: Survey) -> None:
    found = [[(each.layer, each.path) for each in group.files] for group in survey.duplicates]

    assert found == [[(0, b"data/twin"), (1, b"data/again")]]
    assert survey.duplicated == 300


def test_a_hardlink_takes_no_further_space(survey: Survey) -> None:
    sizes = {item.path: item.size for item in survey.items if item.path.startswith(b"usr/lib/code")}

    assert sizes == {b"usr/lib/code": 50, b"usr/lib/code.link": 0}


def test_what_a_layer_deletes_is_no_part_of_its_size(survey: Survey) -> None:
    tree = survey.layer(2)

    data = tree.children[b"data"]
    assert (data.size, data.deleted) == (10, 1300)
    assert {name: child.item.mark for name, child in data.children.items() if child.item} == {
        b"again": "D",
        b"big": "D",
        b"new": "A",
    }


def test_an_image_without_content_is_perfect(engine: Engine, keep: Keep) -> None:
    survey = explore(engine, keep([[]]))

    assert (survey.efficiency, survey.stored, survey.duplicates) == (1.0, 0, ())


def test_a_missing_image_is_told_of(engine: Engine) -> None:
    with pytest.raises(NotFound):
        explore(engine, "nothing")


def test_both_drivers_tell_the_same(engine: Engine, keep: Keep, layered: Stack) -> None:
    name = keep(layered)
    other = Engine(engine.root, "directory")

    assert report(explore(other, name)) == report(explore(engine, name))


def test_the_document_fits_the_schema_that_is_documented(engine: Engine, keep: Keep, layered: Stack) -> None:
    hostile = [[file(name, b"x" * 9) for name in HOSTILE], [whiteout(HOSTILE[0])]]

    for document in (report(explore(engine, keep(layered))), report(explore(engine, keep(hostile, "bad:1")))):
        jsonschema.validate(document, SCHEMA)
        assert json.loads(json.dumps(document)) == document


def test_lists_are_as_long_as_they_may_be(engine: Engine, keep: Keep) -> None:
    files: list[TarEntry] = [file(f"{number}", b"x" * (number + 1)) for number in range(9)]
    survey = explore(engine, keep([[*files, hardlink("link", "8")]]))

    document = report(survey, top=2)

    assert document["largestFiles"] == [
        {"path": "/8", "bytes": 9, "layer": 0},
        {"path": "/7", "bytes": 8, "layer": 0},
    ]


@given(st.dictionaries(paths, st.integers(0, 100), max_size=20))
def test_a_directory_is_as_large_as_all_below_it(sizes: dict[bytes, int]) -> None:
    root = grow(Item(path, Entry(path, Kind.REGULAR), size, 0) for path, size in sizes.items())

    for path, branch in walk(root):
        below = {other: size for other, size in sizes.items() if other == path or is_below(other, path)}
        assert (branch.size, branch.files) == (sum(below.values()), len(below))
    assert {path for path, branch in walk(root) if branch.item is not None} == sizes.keys()


def is_below(path: bytes, directory: bytes) -> bool:
    return not directory or path.startswith(directory + b"/")


def test_names_are_walked_in_byte_order_parents_first() -> None:
    root = grow(Item(path, Entry(path, Kind.REGULAR), 0, 0) for path in (b"b", b"a/z", b"a.", b"a/y"))

    assert [path for path, _ in walk(root)] == [b"", b"a", b"a/y", b"a/z", b"a.", b"b"]
