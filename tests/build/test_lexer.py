"""Directives, continuations, comments and heredocs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerstore.build.lexer import LexedFile, lex
from layerstore.build.source import MAX_DOCKERFILE, Position, Source
from layerstore.errors import DockerfileError, LimitExceeded


def lexed(raw: bytes) -> LexedFile:
    return lex(Source.parse(raw))


def texts(raw: bytes) -> list[str]:
    return [line.text for line in lexed(raw).lines]


@pytest.mark.parametrize(
    ("raw", "lines"),
    [
        (b"FROM a\nRUN b\n", ["FROM a", "RUN b"]),
        (b"FROM a\r\nRUN b\r\n", ["FROM a", "RUN b"]),
        (b"\xef\xbb\xbfFROM a", ["FROM a"]),
        (b"\n\n  FROM a\n\n", ["FROM a"]),
        (b"RUN a \\\n  b\n", ["RUN a   b"]),
        (b"RUN a \\  \n b", ["RUN a  b"]),
        (b"RUN a \\\r\n b\r\n", ["RUN a  b"]),
        (b"RUN a \\\n# comment\n  # more\n b", ["RUN a  b"]),
        (b"RUN a \\\n\n b", ["RUN a  b"]),
        (b"RUN a \\\\\nRUN b", ["RUN a \\\\", "RUN b"]),
        (b"RUN a \\", ["RUN a "]),
        (b"\\\nRUN a", ["RUN a"]),
        (b"# a\nFROM a # no comment", ["FROM a # no comment"]),
        (b"# escape=`\nRUN a `\n b\\", ["RUN a  b\\"]),
        (b"# x\n# escape=`\nRUN a `\n", ["RUN a `"]),
    ],
)
def test_lines_are_joined_and_comments_dropped(raw: bytes, lines: list[str]) -> None:
    assert texts(raw) == lines


def test_directives_are_read_until_the_first_other_line() -> None:
    file = lexed(b"# Syntax = docker/dockerfile:1\n#escape=`\n# check=skip=all\n# other=1\n# check=x\nFROM a")

    assert {each.name: each.value for each in file.directives} == {
        "syntax": "docker/dockerfile:1",
        "escape": "`",
        "check": "skip=all",
    }
    assert file.escape == "`"


@pytest.mark.parametrize(
    ("raw", "problem", "position"),
    [
        (b"# escape=x\nFROM a", "invalid escape token 'x'", (1, 10)),
        (b"# escape=`\n# escape=`\nFROM a", "only one escape parser directive", (2, 1)),
        (b"FROM a\nRUN <<EOF\nx\n", "unterminated heredoc", (2, 1)),
        (b"FROM a\n \\", "no instruction follows", (2, 2)),
        (b"FROM a\n\\\n# x\n\n", "no instruction follows", (2, 1)),
        (b"FROM a\nRUN \xff", "not UTF-8", (2, 5)),
        (b"FROM a\nRUN a \\\n  \0", "NUL", (3, 3)),
        (b"FROM a\nRUN <<EOF\n\xff\nEOF\n", "not UTF-8", (3, 1)),
    ],
)
def test_errors_say_where_they_are(raw: bytes, problem: str, position: tuple[int, int]) -> None:
    with pytest.raises(DockerfileError) as caught:
        lexed(raw)

    assert problem in caught.value.message
    assert (caught.value.line, caught.value.column) == position


def test_comments_may_hold_any_bytes() -> None:
    assert texts(b"# caf\xe9 \0\nFROM a") == ["FROM a"]


def test_comments_right_above_belong_to_an_instruction() -> None:
    file = lexed(b"# check=skip=all\n# one\n# two\nFROM a\n# lost\n\n# three\nRUN b\n# lost\n#\nRUN c")

    assert [line.comments for line in file.lines] == [("one", "two"), ("three",), ()]


def test_an_empty_line_in_a_continuation_is_remembered() -> None:
    file = lexed(b"RUN a \\\n\n b\nRUN c")

    assert [line.empty_continuation for line in file.lines] == [Position(2, 1), None]


def test_positions_lead_back_through_continuations() -> None:
    line = lexed(b"FROM a\n  RUN ab \\\n# c\n   cd").lines[1]

    assert line.position(line.text.index("RUN")) == (2, 3)
    assert line.position(line.text.index("ab")) == (2, 7)
    assert line.position(line.text.index("cd")) == (4, 4)
    assert line.end == 4


@pytest.mark.parametrize(
    ("raw", "heredocs"),
    [
        (b"RUN <<EOF\na\nEOF\n", [("EOF", True, "a\n")]),
        (b"RUN <<'EOF'\n$a\nEOF\n", [("EOF", False, "$a\n")]),
        (b'RUN <<"E"OF\n$a\nEOF\n', [("EOF", False, "$a\n")]),
        (b"RUN <<-EOF\n\t\ta\n\tEOF\n", [("EOF", True, "a\n")]),
        (b"RUN <<EOF\n\tEOF\nEOF", [("EOF", True, "\tEOF\n")]),
        (b"COPY <<a <<b /x/\n1\na\n2\nb\n", [("a", True, "1\n"), ("b", True, "2\n")]),
        (b"RUN 3<<EOF cat\na\r\nEOF\r\n", [("EOF", True, "a\r\n")]),
        (b"ONBUILD RUN <<EOF\na\nEOF\n", [("EOF", True, "a\n")]),
        (b"RUN <<EOF\n# no comment\\\nEOF\n", [("EOF", True, "# no comment\\\n")]),
        (b"RUN cat <<EOF > /x && \\\n true\na\nEOF\n", [("EOF", True, "a\n")]),
        (b'RUN ["<<EOF"]\n', []),
        (b"ENV a=<<EOF\n", []),
        (b"RUN a << EOF\n", []),
        (b"RUN a <<<EOF\n", []),
        (b"RUN 'a <<EOF'\n", []),
        (b"RUN 'a <<EOF\n", []),
        (b'RUN ["<<EOF", 1]\n', []),
        (b"ONBUILD ENV a=<<EOF\n", []),
    ],
)
def test_heredocs_hold_what_stands_under_them(raw: bytes, heredocs: list[tuple[str, bool, str]]) -> None:
    line = lexed(raw).lines[0]

    assert [(each.name, each.expands, each.text) for each in line.heredocs] == heredocs


def test_instructions_go_on_behind_a_heredoc() -> None:
    assert texts(b"RUN <<A <<B\n1\nA\n2\nB\nRUN c") == ["RUN <<A <<B", "RUN c"]


def test_files_are_bounded() -> None:
    with pytest.raises(LimitExceeded):
        Source.parse(b"x" * (MAX_DOCKERFILE + 1))


@given(st.binary(max_size=300))
def test_any_bytes_lex_or_are_refused(raw: bytes) -> None:
    try:
        file = lexed(b"RUN x\n" + raw)
    except DockerfileError:
        return

    assert all(line.text.strip() for line in file.lines)
