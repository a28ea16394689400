"""Ignore patterns: moby's own cases, and its algorithm written down without any of our shortcuts."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerstore.build.dockerignore import IgnoreMatcher, parse_patterns
from layerstore.build.path_pattern import MAX_PATTERN, compile_pattern
from layerstore.errors import InvalidInput


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("**", "file", True),
        ("**", "dir/file", True),
        ("**/", "file", True),
        ("**/**", "dir/file", True),
        ("dir/**", "dir/file", True),
        ("dir/**", "dir", False),
        ("dir/**", "dir/dir2/file", True),
        ("**/dir", "dir", True),
        ("**/dir", "a/b/dir", True),
        ("**/dir2/*", "dir/dir2/file", True),
        ("**/dir2/**", "dir/dir2/dir2/file", True),
        ("**file", "dir/file", True),
        ("**file", "dir/xfile", True),
        ("**/file", "dir/xfile", False),
        ("**/file*", "dir/file.txt", True),
        ("**/file*txt", "dir/dir/file.txt", True),
        ("a**/*.txt", "aa/b/file.txt", True),
        ("a**/*.txt", "a/file.txt", True),
        ("a/*.txt", "a/b/file.txt", False),
        ("a[b-d]e", "ace", True),
        ("a[b-d]e", "aae", False),
        ("a[^b]e", "ace", True),
        ("a[\\]a]", "a]", True),
        ("a[\\-x]", "a-", True),
        ("a\\*b", "a*b", True),
        ("a\\*b", "axb", False),
        ("a\\\\", "a\\", True),
        ("ab?", "abc", True),
        ("a?c", "a/c", False),
        ("a.|)$(}+{bc", "a.|)$(}+{bc", True),
        ("*.go", ".go", True),
        ("a*b*c", "aXbYbZc", True),
        ("a*b*c", "aXbYcZ", False),
        ("?", "é", True),
        ("[é-ü]", "ö", True),
        ("a/**/b/**/c", "a/b/c", True),
        ("a/**/b/**/c", "a/x/b/y/z/c", True),
        ("a/**/b/**/c", "a/x/c", False),
    ],
)
def test_a_pattern_matches_whole_paths(pattern: str, path: str, matches: bool) -> None:
    assert bool(compile_pattern(pattern.rstrip("/")).fullmatch(path)) is matches


@pytest.mark.parametrize(
    "pattern",
    [
        "[",
        "[]",
        "[a",
        "[]a]",
        "[-]",
        "[x-]",
        "[b-a]",
        "[^]",
        "a\\",
        "[\\",
        "x" * (MAX_PATTERN + 1),
        "a**b*c*d*e",
    ],
)
def test_bad_patterns_are_refused(pattern: str) -> None:
    with pytest.raises(InvalidInput):
        compile_pattern(pattern)


def test_no_pattern_takes_exponential_time() -> None:
    assert not compile_pattern("*a" * 30 + "b").fullmatch("a" * 3000)
    assert not compile_pattern("**/a/" * 20 + "b").fullmatch("a/" * 1000 + "c")


@pytest.mark.parametrize(
    ("patterns", "path", "is_out"),
    [
        (["*.md"], "a.md", True),
        (["*.md"], "d/a.md", False),
        (["d"], "d/a/b", True),
        (["d/"], "d/a", True),
        (["/d"], "d/a", True),
        (["./d"], "d", True),
        (["d/../e"], "e", True),
        (["*.md", "!README.md"], "README.md", False),
        (["!README.md", "*.md"], "README.md", True),
        (["d", "!d/a"], "d/a", False),
        (["d", "!d/a"], "d/b", True),
        (["d", "!d/a", "d/a/x"], "d/a/x", True),
        (["**", "!d/**/*.go"], "d/x/a.go", False),
        (["**", "!d"], "d/x", False),
        (["*", "!d/e"], "d/e/f", False),
        (["*", "!d/e"], "d/f", True),
        (["docs/*", "!docs/a"], "docs", False),
        (["."], "a", False),
        ([".git", "!"], "a", False),
        ([" d "], "d", True),
    ],
)
def test_the_last_pattern_that_matches_decides(patterns: list[str], path: str, is_out: bool) -> None:
    cleaned = parse_patterns("\n".join(patterns).encode())
    usable = [pattern for pattern in cleaned if pattern != "!"]

    assert IgnoreMatcher.of(usable).excludes(path) is is_out


def test_a_file_of_patterns_has_comments_and_a_byte_order_mark() -> None:
    raw = b"\xef\xbb\xbf# comment\r\n\n  a/b/  \r\n /c\n!/d\n !e/../f\n #kept\n"

    assert parse_patterns(raw) == ("a/b", "c", "!d", "!f", "#kept")


def test_a_lone_exclamation_mark_is_refused() -> None:
    with pytest.raises(InvalidInput, match="illegal exclusion pattern"):
        IgnoreMatcher.parse(b"a\n!\n")


NAMES = st.sampled_from(["a", "b", "ab", "c"])
PARTS = st.sampled_from(["a", "b", "ab", "*", "**", "a*", "?", "[ab]", "*b"])
PATTERNS = st.builds(
    lambda mark, parts: mark + "/".join(parts),
    st.sampled_from(["", "!"]),
    st.lists(PARTS, min_size=1, max_size=3),
)


def moby(patterns: list[str], path: str) -> tuple[bool, list[bool]]:
    """``MatchesUsingParentResults`` of moby/patternmatcher, as BuildKit calls it on the way down to `path`."""
    above = path.rpartition("/")[0]
    matched = moby(patterns, above)[1] if above else [False] * len(patterns)
    is_out = False
    for index, pattern in enumerate(patterns):
        lets_in, body = pattern.startswith("!"), pattern.removeprefix("!")
        if not matched[index] and lets_in == is_out:
            matched[index] = re.fullmatch(naive(body), path) is not None
        if matched[index]:
            is_out = not lets_in
    return is_out, matched


def naive(pattern: str) -> str:
    """The pattern's meaning, without a thought for time; ``**`` is a whole component here."""
    expression = ""
    parts = pattern.split("/")
    for index, part in enumerate(parts):
        is_last = index == len(parts) - 1
        if part == "**":
            expression += ".*" if is_last else "(.*/)?"
        else:
            expression += part.replace("*", "[^/]*").replace("?", "[^/]") + ("" if is_last else "/")
    return expression


@given(st.lists(PATTERNS, max_size=5), st.lists(NAMES, min_size=1, max_size=4))
def test_decisions_are_mobys(patterns: list[str], parts: list[str]) -> None:
    path = "/".join(parts)

    assert IgnoreMatcher.of(patterns).excludes(path) is moby(patterns, path)[0]


@given(st.lists(PATTERNS, max_size=5), st.lists(NAMES, min_size=1, max_size=4))
def test_what_is_let_in_is_never_below_a_directory_that_is_skipped(
    patterns: list[str], parts: list[str]
) -> None:
    matcher = IgnoreMatcher.of(patterns)
    path = "/".join(parts)
    above = ["/".join(parts[:count]) for count in range(1, len(parts))]

    skipped = [each for each in above if matcher.excludes(each) and not matcher.may_let_in_below(each)]

    assert matcher.excludes(path) or not skipped
