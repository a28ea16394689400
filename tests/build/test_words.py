"""How lines fall into words."""

import pytest

from layerstore.build.words import Word, exec_form, split_command, split_pair, split_quoted, split_spaces
from layerstore.errors import InvalidInput


@pytest.mark.parametrize(
    ("line", "flags", "rest"),
    [
        ("RUN echo", (), "echo"),
        ("RUN\techo  x ", (), "echo  x"),
        ("RUN", (), ""),
        ("COPY --a=b --c x y", ("--a=b", "--c"), "x y"),
        ("COPY --a='x y' --b=\"c d\" z", ("--a=x y", "--b=c d"), "z"),
        ("COPY --a=x\\ y z", ("--a=x y",), "z"),
        ("COPY -- --x y", (), "--x y"),
        ("COPY x --a=b", (), "x --a=b"),
        ("RUN --mount=type=bind,src=a", ("--mount=type=bind,src=a",), ""),
        ("RUN -x", (), "-x"),
    ],
)
def test_a_line_is_keyword_flags_and_rest(line: str, flags: tuple[str, ...], rest: str) -> None:
    command = split_command(line)

    assert tuple(flag.text for flag in command.flags) == flags
    assert command.rest.text == rest
    assert line[command.rest.offset :].startswith(rest)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a b", ("a", "b")),
        ("a='x y' b", ("a='x y'", "b")),
        ('a="x \\" y" b', ('a="x \\" y"', "b")),
        ("a=x\\ y b", ("a=x\\ y", "b")),
        ("a='x\\' b", ("a='x\\'", "b")),
        ("a=''", ("a=''",)),
        ("a\\", ("a",)),
        ("  ", ()),
    ],
)
def test_quoted_words_keep_their_quotes_and_escapes(text: str, words: tuple[str, ...]) -> None:
    assert tuple(word.text for word in split_quoted(Word(text, 0), "\\")) == words


def test_words_know_where_they_stand() -> None:
    assert split_spaces(Word("a  bb c", 10)) == (Word("a", 10), Word("bb", 13), Word("c", 16))
    assert split_quoted(Word(" a 'b c' d", 5), "\\") == (Word("a", 6), Word("'b c'", 8), Word("d", 14))
    assert split_pair(Word("k  v w", 3)) == (Word("k", 3), Word("v w", 6))
    assert split_pair(Word("k", 3)) is None


@pytest.mark.parametrize(
    ("text", "array"),
    [
        ('["a", "b"]', ("a", "b")),
        ("[]", ()),
        ('  [ "a" ]', ("a",)),
        ("['a']", None),
        ('["a"] x', None),
        ('["a",]', None),
        ("echo", None),
        ("[NaN]", None),
        ('["\\ud800"]', ("\ufffd",)),
        ("[" * 100_000, None),
    ],
)
def test_a_json_array_is_the_exec_form_and_all_else_a_shells(
    text: str, array: tuple[str, ...] | None
) -> None:
    assert exec_form(text) == array


@pytest.mark.parametrize("text", ["[1]", '["a", null]', '[["a"]]'])
def test_arrays_of_anything_but_strings_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="strings only"):
        exec_form(text)
