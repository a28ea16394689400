"""Variables and quotes: BuildKit's own table of cases, and what must hold for any text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerstore.build.expand import MAX_NESTING, ShellLexer
from layerstore.errors import InvalidInput

VARIABLES = {
    "PWD": "/home",
    "SHELL": "bash",
    "KOREAN": "한국어",
    "NULL": "",
    "PATH": "/usr/bin:/bin",
    "VER": "1.2.3-rc.1",
    "STAR": "a*b",
    "1": "one",
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hello", "hello"),
        ("he'll'o", "hello"),
        ("he'llo\"x'", 'hello"x'),
        ('he"ll\'o"', "hell'o"),
        ("he\\'llo", "he'llo"),
        ("he\\\\llo", "he\\llo"),
        ("trailing\\", "trailing"),
        ('"trailing\\a"', "trailing\\a"),
        ('"a\\"b"', 'a"b'),
        ('"a\\$PWD"', "a$PWD"),
        ("\\$PWD", "$PWD"),
        ("'$PWD'", "$PWD"),
        ('"$PWD"', "/home"),
        ("$PWD/x", "/home/x"),
        ("${PWD}x", "/homex"),
        ("$PWDx", ""),
        ("a$", "a$"),
        ("$,x", "$,x"),
        ("$KOREAN.", "한국어."),
        ("$1x", "onex"),
        ("$10", ""),
        ("a$*b", "ab"),
        ("${NOPE}", ""),
        ("${NOPE:-def}", "def"),
        ("${NOPE-def}", "def"),
        ("${NULL:-def}", "def"),
        ("${NULL-def}", ""),
        ("${PWD:-def}", "/home"),
        ("${NOPE:-$PWD}", "/home"),
        ("${NOPE:-${NULL:-deep}}", "deep"),
        ("${NOPE:-'a b'}", "a b"),
        ("${NOPE:+alt}", ""),
        ("${NULL:+alt}", ""),
        ("${NULL+alt}", "alt"),
        ("${PWD:+alt}", "alt"),
        ("${PWD+$SHELL}", "bash"),
        ("${PWD:?must}", "/home"),
        ("${NULL?must}", ""),
        ("${PATH#*/}", "usr/bin:/bin"),
        ("${PATH##*/}", "bin"),
        ("${PATH%:*}", "/usr/bin"),
        ("${PATH%%/*}", ""),
        ("${PATH%/*}", "/usr/bin:"),
        ("${VER#?.}", "2.3-rc.1"),
        ("${VER%-*}", "1.2.3"),
        ("${VER%%.*}", "1"),
        ("${STAR#a\\*}", "b"),
        ("${STAR#b}", "a*b"),
        ("${VER/./_}", "1_2.3-rc.1"),
        ("${VER//./_}", "1_2_3-rc_1"),
        ("${PATH//\\/bin/}", "/usr:"),
        ("${VER/rc*/final}", "1.2.3-final"),
        ("${NOPE#x}", ""),
        ("${NOPE/x/y}", ""),
    ],
)
def test_text_expands_as_buildkit_expands_it(text: str, expected: str) -> None:
    result = ShellLexer().expand(text, VARIABLES)

    assert result.text == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("'open", "matching single-quote"),
        ('"open', "matching double-quote"),
        ("${", "missing '}'"),
        ("${}", "bad substitution"),
        ("${{x}", "bad substitution"),
        ("${:x}", "bad substitution"),
        ("${PWD", "missing '}'"),
        ("${PWD:-x", "missing '}'"),
        ("${PWD/x", "missing '/'"),
        ("${PWD/x/y", "missing '}'"),
        ("${PWD!x}", "unsupported modifier (!)"),
        ("${PWD:~x}", "unsupported modifier (:~)"),
        ("${NOPE?}", "NOPE: is not allowed to be unset"),
        ("${NOPE:?say why}", "NOPE: say why"),
        ("${NULL:?}", "NULL: is not allowed to be empty"),
        ("${VER#\\x}", "invalid escape '\\x'"),
        ("${a:-" * (MAX_NESTING + 1) + "}" * (MAX_NESTING + 1), "inside each other"),
    ],
)
def test_bad_substitutions_are_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        ShellLexer().expand(text, VARIABLES)

    assert reason in caught.value.message


def test_words_split_after_expansion_but_not_inside_quotes() -> None:
    result = ShellLexer().expand("$list '$list' \"a $list\" x\\ y", {"list": "1 2"})

    assert result.words == ("1", "2", "$list", "a 1 2", "x y")


def test_the_escape_character_is_the_directives() -> None:
    assert ShellLexer("`").expand("c:\\x `$PWD", VARIABLES).text == "c:\\x $PWD"


def test_escapes_stay_where_that_is_asked_for() -> None:
    lexer = ShellLexer(keeps_escapes=True, keeps_quotes=True)

    assert lexer.expand('a\\ b "c\\" d" \'e\'', {}).words == ("a\\ b", '"c\\" d"', "'e'")


def test_matched_and_unmatched_variables_are_told() -> None:
    result = ShellLexer().expand("$PWD ${NOPE} ${OTHER:-x} ${NULL:+y}", VARIABLES)

    assert result.matched == {"PWD", "NULL"}
    assert result.unmatched == {"NOPE"}


def test_unset_variables_stay_as_written_where_that_is_asked_for() -> None:
    lexer = ShellLexer(keeps_unset=True)

    assert lexer.expand("$A ${A} ${A:-x} ${A/b/c} $PWD", VARIABLES).text == "$A ${A} ${A:-x} ${A/b/c} /home"


@given(st.text(), st.dictionaries(st.text("abAB_", min_size=1), st.text()))
def test_any_text_expands_or_is_refused(text: str, variables: dict[str, str]) -> None:
    try:
        result = ShellLexer().expand(text, variables)
    except InvalidInput:
        return

    assert all(word in result.text for word in result.words)


@given(st.text(st.characters(exclude_characters="$'\"\\")))
def test_text_without_anything_special_stays(text: str) -> None:
    assert ShellLexer().expand(text, {}).text == text


@given(st.text())
def test_a_single_quoted_text_stays(text: str) -> None:
    text = text.replace("'", "")

    assert ShellLexer().expand(f"'{text}'", {}).text == text
