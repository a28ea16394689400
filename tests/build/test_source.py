"""Errors that show the place."""

from layerstore.build.source import Position, Source
from layerstore.build.suggestion import did_you_mean, nearest


def test_an_error_names_file_line_and_column_and_shows_the_line() -> None:
    source = Source.parse(b"FROM a\n\tRUNN x\r\n", "build/Dockerfile")

    error = source.error(Position(2, 2), "unknown instruction: RUNN", hint="lstore build --check")

    assert error.message == "build/Dockerfile:2:2: unknown instruction: RUNN"
    assert error.excerpt == "   2 | \tRUNN x\n     | \t^"
    assert error.hint == "lstore build --check"
    assert error.problem == "unknown instruction: RUNN"


def test_bytes_that_are_no_text_are_shown_replaced() -> None:
    assert Source.parse(b"RUN \xff").error(Position(1, 5), "x").text == "RUN \ufffd"


def test_the_nearest_word_is_suggested_if_it_is_near() -> None:
    assert nearest("RUNN", ["RUN", "ENV"]) == "RUN"
    assert nearest("runn", ["RUN"], ignore_case=True) == "RUN"
    assert nearest("XYZQ", ["RUN", "ENV"]) is None
    assert nearest("RUN", ["RUN"]) is None
    assert nearest("x", ["y"]) is None
    assert did_you_mean("foo", ["fooo"], sign="$") == " (did you mean $fooo?)"
    assert did_you_mean("foo", []) == ""
