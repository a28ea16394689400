"""No text kills the output, and none steers a terminal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cli.conftest import memory, written


@given(st.text())
def test_any_text_can_be_written_in_any_encoding(text: str) -> None:
    for encoding in ("utf-8", "ascii", "latin-1"):
        memory(encoding=encoding).line(text)


@given(st.text())
def test_a_terminal_gets_no_control_characters(text: str) -> None:
    output = memory(is_terminal=True)

    output.write(text)

    shown = output.binary.getvalue().decode("utf-8", "replace")
    assert not any(ord(each) < 32 and each not in "\t\n" for each in shown)
    assert not any(0x7F <= ord(each) < 0xA0 or each in "\u202e\u2066" for each in shown)


def test_a_pipe_gets_the_text_as_it_is() -> None:
    output = memory()

    output.write("\x1b[31mred\r\n")

    assert written(output) == "\x1b[31mred\r\n"


def test_bytes_that_are_no_text_leave_as_they_came() -> None:
    output = memory()

    output.write(b"caf\xe9".decode("utf-8", "surrogateescape"))

    assert output.binary.getvalue() == b"caf\xe9"


@pytest.mark.parametrize(("encoding", "expected"), [("ascii", b"\\u2026"), ("utf-8", "…".encode())])
def test_what_an_encoding_lacks_is_spelled_out(encoding: str, expected: bytes) -> None:
    output = memory(encoding=encoding)

    output.write("…")

    assert output.binary.getvalue() == expected
