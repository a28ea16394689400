"""Template text → tokens. Positions are offsets into the source, so that errors can point.

Trim markers are applied here: ``{{- `` swallows the white space before it and `` -}}`` what follows,
as text/template's "Text and spaces" has it. Comments vanish.
"""

import json
import re
from collections.abc import Iterator
from typing import Literal, NoReturn, cast

from layerstore.dataclass import dataclass
from layerstore.errors import UsageError

Kind = Literal["text", "open", "close", "string", "number", "variable", "field", "dot", "word", "mark"]

_OPEN = re.compile(r"\{\{(?:-(?=\s))?")
_COMMENT = re.compile(r"\{\{(?:-\s)?\s*/\*.*?\*/\s*(?:\s-)?\}\}", re.DOTALL)
_TOKEN = re.compile(
    r"""(?P<close>\s+-\}\}|\}\})
      |(?P<space>\s+)
      |(?P<string>"(?:[^"\\\n]|\\.)*"|`[^`]*`)
      |(?P<number>[+-]?\d+(?:\.\d+)?)
      |(?P<variable>\$\w*)
      |(?P<field>\.[^\W\d]\w*)
      |(?P<dot>\.)
      |(?P<word>[^\W\d]\w*)
      |(?P<mark>:=|[()|,=])""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Token:
    """One lexical element; `is_glued` says that no white space stands before it."""

    kind: Kind
    text: str
    offset: int
    is_glued: bool = False


def fail(source: str, offset: int, message: str) -> NoReturn:
    """Raises the `UsageError` that points at `offset` of the template `source`."""
    line = source.count("\n", 0, offset) + 1
    column = offset - (source.rfind("\n", 0, offset) + 1) + 1
    raise UsageError(f"invalid --format template at line {line}, column {column}: {message}")


def tokens(source: str) -> Iterator[Token]:
    """The tokens of `source`, in order. Raises `UsageError` where there is none."""
    position = 0
    is_trimmed = False
    while position < len(source):
        opening = _OPEN.search(source, position)
        text = source[position : opening.start() if opening else len(source)]
        if is_trimmed:
            text = text.lstrip()
        if opening and opening.group().endswith("-"):
            text = text.rstrip()
        if text:
            yield Token("text", text, position)
        if opening is None:
            return
        comment = _COMMENT.match(source, opening.start())
        if comment:
            position, closing = comment.end(), comment.group()
        else:
            action = list(_action(source, opening))
            yield from action
            position, closing = action[-1].offset + len(action[-1].text), action[-1].text
        is_trimmed = closing.endswith("-}}")


def _action(source: str, opening: re.Match[str]) -> Iterator[Token]:
    """The tokens from ``{{`` up to its ``}}``, both included."""
    yield Token("open", opening.group(), opening.start())
    position = opening.end()
    is_glued = False
    while match := _TOKEN.match(source, position):
        kind = match.lastgroup
        position = match.end()
        if kind == "space":
            is_glued = False
            continue
        yield Token(cast(Kind, kind), match.group(), match.start(), is_glued)
        if kind == "close":
            return
        is_glued = True
    if position >= len(source):
        fail(source, opening.start(), "this action is never closed with }}")
    if source[position] == '"':
        fail(source, position, "this string is never closed")
    fail(source, position, f"unexpected {source[position]!r}")


def string_value(source: str, token: Token) -> str:
    r"""What a string token stands for: raw between back quotes, with \n, \t, \", \\, \uXXXX otherwise."""
    if token.text.startswith("`"):
        return token.text[1:-1]
    try:
        return str(json.loads(token.text, strict=False))
    except ValueError:
        fail(source, token.offset, f"bad escape in string {token.text}")
