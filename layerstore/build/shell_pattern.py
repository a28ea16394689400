"""The patterns of ``${name#pattern}`` and its kin: ``*``, ``?``, and a backslash before either.

POSIX shells' pattern matching (XCU 2.13) without bracket expressions, as BuildKit has it. A star's
shortest match is taken for good (an atomic group), so that no pattern costs more than the square of
the value's length.
"""

import re
from typing import Final

from layerstore.errors import InvalidInput, LimitExceeded

MAX_VALUE: Final = 1 << 16
"""Characters of a value that a pattern is matched against."""
MAX_RESULT: Final = 1 << 20
"""Characters that replacements may put into one value."""
_STAR: Final = "*"
_ANY: Final = "."
_ESCAPABLE: Final = "*?\\"
_DELIMITERS: Final = "}/"

_Token = tuple[bool, str]
"""Whether it is special, and the character."""


def trim_prefix(pattern: str, value: str, *, longest: bool) -> str:
    """`value` without the shortest or longest prefix that `pattern` matches. Raises `InvalidInput`."""
    return _trimmed(_tokens(pattern), value, longest=longest)


def trim_suffix(pattern: str, value: str, *, longest: bool) -> str:
    """`value` without the shortest or longest suffix that `pattern` matches. Raises `InvalidInput`."""
    return _trimmed(_tokens(pattern)[::-1], value[::-1], longest=longest)[::-1]


def replace(pattern: str, value: str, replacement: str, *, everywhere: bool) -> str:
    """`value` with the first or every longest match of `pattern` replaced. Raises `InvalidInput`."""
    matcher = _matcher(_tokens(pattern), longest=True)
    count = sum(1 for _ in matcher.finditer(_bounded(value))) if everywhere else 1
    if count * len(replacement) > MAX_RESULT:
        raise LimitExceeded(f"cannot replace a pattern by more than {MAX_RESULT} characters")
    return matcher.sub(lambda _match: replacement, value, count=0 if everywhere else 1)


def _trimmed(tokens: list[_Token], value: str, *, longest: bool) -> str:
    match = _matcher(tokens, longest=longest).match(_bounded(value))
    return value if match is None else value[match.end() :]


def _bounded(value: str) -> str:
    if len(value) > MAX_VALUE:
        raise LimitExceeded(f"cannot match a pattern against {len(value)} characters, over {MAX_VALUE}")
    return value


def _tokens(pattern: str) -> list[_Token]:
    tokens: list[_Token] = []
    characters = iter(pattern)
    for char in characters:
        if char != "\\":
            tokens.append((char in "*?", char))
            continue
        escaped = next(characters, "")
        # A closing brace or a slash is escaped for the sake of the ${…} around the pattern.
        if not escaped or escaped not in _ESCAPABLE + _DELIMITERS:
            raise InvalidInput(f"invalid pattern ({pattern}) in substitution: invalid escape '\\{escaped}'")
        tokens.append((False, escaped))
    return tokens


def _matcher(tokens: list[_Token], *, longest: bool) -> re.Pattern[str]:
    """Leftmost places for all pieces between stars; the last piece at the farthest if `longest`."""
    pieces = [""]
    for is_special, char in tokens:
        if is_special and char == _STAR:
            pieces.append("")
        else:
            pieces[-1] += _ANY if is_special else re.escape(char)
    head, *rest = pieces
    if not rest:
        return re.compile(head)
    middle = "".join(f"(?>.*?{piece})" for piece in rest[:-1])
    star = ".*" if longest else ".*?"
    return re.compile(f"{head}{middle}{star}{rest[-1]}")
