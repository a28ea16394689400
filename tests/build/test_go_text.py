"""What Go prints and reads."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerstore.build.go_text import (
    parse_boolean,
    parse_duration,
    parse_natural,
    parse_size,
    quote,
    quote_all,
    quote_character,
    show_duration,
)


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0", 0),
        ("30s", 30_000_000_000),
        ("1h2m3.5s", 3_723_500_000_000),
        ("-1.5ms", -1_500_000),
        ("+1us", 1_000),
        (".5s", 500_000_000),
        ("1", None),
        ("", None),
        ("s", None),
        ("1d", None),
        ("1s ", None),
        ("9999999999h", None),
    ],
)
def test_durations_are_read_as_go_reads_them(text: str, nanoseconds: int | None) -> None:
    assert parse_duration(text) == nanoseconds


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0s"),
        (1, "1ns"),
        (1_500, "1.5µs"),
        (500_000_000, "500ms"),
        (1_500_000_000, "1.5s"),
        (90_000_000_000, "1m30s"),
        (3_600_000_000_000, "1h0m0s"),
        (-1_000_000_000, "-1s"),
    ],
)
def test_durations_are_shown_as_go_shows_them(nanoseconds: int, text: str) -> None:
    assert show_duration(nanoseconds) == text


@given(st.integers(-(10**18), 10**18))
def test_durations_survive_being_shown(nanoseconds: int) -> None:
    assert parse_duration(show_duration(nanoseconds)) == nanoseconds


def test_quoting_is_gos() -> None:
    assert quote('a"\\\n\x01é\u200b\U000e0001') == '"a\\"\\\\\\n\\x01é\\u200b\\U000e0001"'
    assert quote_all(["a", "b c"]) == '["a" "b c"]'
    assert quote_character(3) == "'\\x03'"
    assert quote_character(ord("'")) == "'\\''"


def test_booleans_and_sizes_are_gos() -> None:
    assert [parse_boolean(text) for text in ("1", "True", "f", "yes")] == [True, True, False, None]
    assert [parse_size(text) for text in ("10", "1k", "1.5GiB", "x")] == [10, 1024, 1_610_612_736, None]
    assert parse_size("1" * 400) is None


def test_naturals_are_plain_digits_up_to_a_bound() -> None:
    assert [parse_natural(text, 20) for text in ("0", "020", "21", "-1", "1.0", "²", "", "1" * 5000)] == [
        0,
        20,
        *[None] * 6,
    ]
