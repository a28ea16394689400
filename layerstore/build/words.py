"""How a line of a Dockerfile falls into words: by BuildKit's rules, each instruction by its own.

Quotes and escapes stay where later expansion takes them away.
"""

import json
import re
from typing import Final, NamedTuple

from layerstore.build.expand import is_space
from layerstore.errors import InvalidInput

_SPACES: Final = re.compile(r"[\t\v\f\r ]+")
_NOT_SPACE: Final = re.compile(r"\S")


class Word(NamedTuple):
    """Some text, and where it starts in the line it is from."""

    text: str
    offset: int


class Command(NamedTuple):
    """A line's first split."""

    keyword: Word
    flags: tuple[Word, ...]
    """``--name`` and ``--name=value`` before the first argument, without their quotes."""
    rest: Word
    """Everything behind, without white space at its ends."""


def split_command(line: str, start: int = 0) -> Command:
    """The keyword, the flags and the rest of `line` from `start` on."""
    start = _skip_spaces(line, start)
    end = len(line.rstrip())
    space = _SPACES.search(line, start, end)
    if space is None:
        return Command(Word(line[start:end], start), (), Word("", end))
    flags, position = _read_flags(line, space.end(), end)
    position = _skip_spaces(line, position)
    return Command(
        Word(line[start : space.start()], start), flags, Word(line[position:end], min(position, end))
    )


def _skip_spaces(line: str, position: int) -> int:
    while position < len(line) and is_space(line[position]):
        position += 1
    return position


def _read_flags(line: str, position: int, end: int) -> tuple[tuple[Word, ...], int]:
    """The flags from `position` on, and where the arguments start."""
    flags: list[Word] = []
    while True:
        position = _skip_spaces(line, position)
        if position >= end or not line.startswith("--", position):
            return tuple(flags), position
        text, after = _read_flag(line, position, end)
        if text == "--":
            return tuple(flags), after
        flags.append(Word(text, position))
        position = after


def _read_flag(line: str, position: int, end: int) -> tuple[str, int]:
    """One flag without quotes, and where it ends. The escape is a backslash, whatever the directive says."""
    text, quote = "", ""
    while position < end:
        char = line[position]
        if not quote and is_space(char):
            break
        position += 1
        if char == quote:
            quote = ""
        elif not quote and char in "'\"":
            quote = char
        elif char != "\\":
            text += char
        elif position < end:
            text += line[position]
            position += 1
    return text, position


def split_spaces(rest: Word) -> tuple[Word, ...]:
    """`rest` at white space, quotes meaning nothing."""
    words: list[Word] = []
    position = 0
    for space in _SPACES.finditer(rest.text):
        words.append(Word(rest.text[position : space.start()], rest.offset + position))
        position = space.end()
    words.append(Word(rest.text[position:], rest.offset + position))
    return tuple(words) if rest.text else ()


def split_quoted(rest: Word, escape: str) -> tuple[Word, ...]:
    """`rest` at white space that is neither quoted nor escaped; quotes and escapes stay."""
    words: list[Word] = []
    position = 0
    while (start := _NOT_SPACE.search(rest.text, position)) is not None:
        text, position = _read_quoted(rest.text, start.start(), escape)
        if text:
            words.append(Word(text, rest.offset + start.start()))
    return tuple(words)


def _read_quoted(text: str, position: int, escape: str) -> tuple[str, int]:
    """The word that starts at `position`, and where it ends. An escape at the very end is dropped."""
    result, quote = "", ""
    while position < len(text):
        char = text[position]
        if not quote and is_space(char):
            break
        position += 1
        if char == escape and quote != "'":
            if position == len(text):
                break
            char += text[position]
            position += 1
        elif char == quote:
            quote = ""
        elif not quote and char in "'\"":
            quote = char
        result += char
    return result, position


def split_pair(rest: Word) -> tuple[Word, Word] | None:
    """`rest` at its first white space, as the old form ``ENV name value`` has it; None where there is none."""
    space = _SPACES.search(rest.text)
    if space is None:
        return None
    value = Word(rest.text[space.end() :], rest.offset + space.end())
    return Word(rest.text[: space.start()], rest.offset), value


def exec_form(text: str) -> tuple[str, ...] | None:
    """The strings of a JSON array; None for what is no JSON array, which is then for a shell.

    Raises `InvalidInput` for an array with anything but strings.
    """
    if not text.lstrip().startswith("["):
        return None
    try:
        array = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return None
    if not all(isinstance(item, str) for item in array):
        raise InvalidInput("when using JSON array syntax, arrays must be comprised of strings only")
    # An escaped lone surrogate is no text; Go's decoder puts the replacement character in its place.
    return tuple(item.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for item in array)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
