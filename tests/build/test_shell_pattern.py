"""Trimming and replacing by patterns, against every way a pattern could match."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerstore.build.shell_pattern import MAX_VALUE, replace, trim_prefix, trim_suffix
from layerstore.errors import LimitExceeded

PATTERNS = st.text("ab*?", max_size=6)
VALUES = st.text("ab", max_size=8)


def matches(pattern: str, text: str) -> bool:
    """POSIX's meaning, written down without a thought for time."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(matches(pattern[1:], text[start:]) for start in range(len(text) + 1))
    return bool(text) and pattern[0] in ("?", text[0]) and matches(pattern[1:], text[1:])


@given(PATTERNS, VALUES, st.booleans())
def test_the_shortest_or_longest_matching_prefix_goes(pattern: str, value: str, longest: bool) -> None:
    prefixes = [value[:end] for end in range(len(value) + 1) if matches(pattern, value[:end])]
    expected = value[len(prefixes[-1 if longest else 0]) :] if prefixes else value

    assert trim_prefix(pattern, value, longest=longest) == expected


@given(PATTERNS, VALUES, st.booleans())
def test_the_shortest_or_longest_matching_suffix_goes(pattern: str, value: str, longest: bool) -> None:
    suffixes = [value[start:] for start in range(len(value), -1, -1) if matches(pattern, value[start:])]
    expected = value[: len(value) - len(suffixes[-1 if longest else 0])] if suffixes else value

    assert trim_suffix(pattern, value, longest=longest) == expected


@given(PATTERNS, VALUES)
def test_the_leftmost_longest_match_is_replaced(pattern: str, value: str) -> None:
    spans = (
        (start, end)
        for start, end in product(range(len(value) + 1), range(len(value), -1, -1))
        if end >= start and matches(pattern, value[start:end])
    )
    start, end = next(spans, (0, -1))
    expected = f"{value[:start]}-{value[end:]}" if end >= 0 else value

    assert replace(pattern, value, "-", everywhere=False) == expected


def test_a_pattern_of_many_stars_takes_no_exponential_time() -> None:
    assert trim_prefix("*a" * 50 + "b", "a" * 5000, longest=True) == "a" * 5000


def test_values_are_bounded() -> None:
    with pytest.raises(LimitExceeded):
        trim_prefix("a", "a" * (MAX_VALUE + 1), longest=False)
    with pytest.raises(LimitExceeded):
        replace("?", "a" * MAX_VALUE, "b" * 100, everywhere=True)
