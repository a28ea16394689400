"""Foreign JSON: bounded, unambiguous, and never a traceback."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerstore.errors import InvalidDocument, LimitExceeded
from layerstore.oci.document import MAX_NESTING, dump, items, natural, parse_object, string_map, text


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b'"x"',
        b"1",
        b"{",
        b"{}{}",
        b"{'a': 1}",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": -Infinity}',
        b'{"a": 1e999}',
        b'{"a": "\xff"}',
        b'{"a": "\\ud800"}',
        b'{"\\udfff": 1}',
        b'{"a": ["x", {"b": "\\ud800"}]}',
        '{"a": 1}'.encode("utf-16"),
        b'\xef\xbb\xbf{"a": 1}',
        b'{"a": 1' + b"0" * 5000 + b"}",
        b'{"a": "\x00"}',
    ],
)
def test_what_is_no_clean_json_object_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidDocument, match="config"):
        parse_object(raw, "config")


@pytest.mark.parametrize(
    "raw", [b'{"a": 1, "a": 1}', b'{"x": {"a": 1, "b": 2, "a": 3}}', b'{"a": 1, "\\u0061": 2}']
)
def test_a_key_that_two_readers_could_read_differently_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidDocument, match="'a' appears twice"):
        parse_object(raw, "manifest")


@pytest.mark.parametrize(
    "bomb",
    [
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b'{"a":' + b"[" * 1_000_000,
        b'{"a":' + b"[" * (MAX_NESTING + 1) + b"]" * (MAX_NESTING + 1) + b"}",
    ],
    ids=["objects", "unclosed arrays", "just over the bound"],
)
def test_a_depth_bomb_is_refused(bomb: bytes) -> None:
    with pytest.raises(InvalidDocument):
        parse_object(bomb, "manifest")


def test_nesting_up_to_the_bound_is_read() -> None:
    deep = b"[" * (MAX_NESTING - 1) + b"]" * (MAX_NESTING - 1)

    assert "a" in parse_object(b'{"a":' + deep + b"}", "manifest")


def test_an_over_long_document_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(LimitExceeded, match="over the limit of 9"):
        parse_object(b'{"a": 100}', "manifest", limit=9)


def test_a_bad_value_is_named_by_its_field() -> None:
    with pytest.raises(InvalidDocument, match="'size'"):
        natural({"size": "1"}, "size")
    with pytest.raises(InvalidDocument, match="'name'"):
        text({"name": 1}, "name")
    with pytest.raises(InvalidDocument, match="'labels'"):
        string_map({"labels": {"a": 1}}, "labels")


def test_a_million_elements_are_refused_before_any_is_parsed() -> None:
    def explode(_: object) -> int:
        raise AssertionError("parsed an element")

    with pytest.raises(LimitExceeded, match="1000000 elements"):
        items({"layers": [0] * 1_000_000}, "layers", explode, limit=100)


finite = st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | st.integers() | finite | st.text()
values: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), values, max_size=4))
def test_a_dumped_document_parses_to_itself_and_dumps_alike(value: dict[str, Any]) -> None:
    raw = dump(value)

    parsed = parse_object(raw, "document")

    assert parsed == value
    assert dump(parsed) == raw


@given(st.binary(max_size=60) | st.text(alphabet='{}[]":,01e.\\ud8 ', max_size=60).map(str.encode))
def test_any_bytes_end_in_an_object_or_a_typed_error(raw: bytes) -> None:
    try:
        parsed = parse_object(raw, "document")
    except InvalidDocument:
        return

    assert parsed == json.loads(raw)
    dump(parsed)
