"""Go's ``filepath.Match`` patterns, with ``**`` for any number of directories, as regular expressions.

``*`` and ``?`` stop at a slash, ``[a-z]`` and ``[^a-z]`` are classes, a backslash takes the next
character's meaning away. What stands between two stars is looked for at its first place and stays there
(an atomic group): by then nothing else can help, and no pattern takes more than the square of a path's length.
"""

import re
from typing import Final

from layerstore.errors import InvalidInput

MAX_PATTERN: Final = 4096
"""Characters; a path has no more either."""
_MAX_WILD: Final = 4
"""Stars in a pattern with ``**`` inside a name, where that argument does not hold."""
_SPECIAL: Final = re.compile(r"[*?\[\]\\]")
_ANY: Final = "[^/]"
_BELOW: Final = "**"


def is_pattern(text: str) -> bool:
    """Whether `text` has anything special in it."""
    return _SPECIAL.search(text) is not None


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Matches, by ``fullmatch``, the paths that `pattern` names. Raises `InvalidInput`."""
    return re.compile(translate(pattern), re.DOTALL)


def translate(pattern: str) -> str:
    """A regular expression, without anchors and for ``re.DOTALL``, for the whole paths that `pattern` names.

    By the rules of moby's patternmatcher: ``**/`` stands for no directory too, a final ``**`` for all below,
    and a leading one before literal text alone is also good inside a name. Raises `InvalidInput`.
    """
    if len(pattern) > MAX_PATTERN:
        raise InvalidInput(f"invalid pattern {pattern[:80]!r}…: longer than {MAX_PATTERN} characters")
    components = pattern.split("/")
    if all(part == _BELOW or _BELOW not in part for part in components):
        return _well_formed(components)
    if not is_pattern(pattern.removeprefix(_BELOW)):
        return f".*{re.escape(pattern.removeprefix(_BELOW))}"
    if pattern.count("*") > _MAX_WILD:
        raise InvalidInput(
            f"invalid pattern {pattern!r}: '**' is no directory's whole name, among many stars"
        )
    return "".join(_loose(pattern))


def _well_formed(components: list[str]) -> str:
    segments: list[list[str]] = [[]]
    for part in components:
        if part == _BELOW:
            segments.append([])
        else:
            segments[-1].append(_component(part))
    first, *rest = ("/".join(segment) for segment in segments)
    if not rest:
        return first
    *middle, last = rest
    inner = "".join(f"(?>(?:.*?/)??{each}/)" for each in middle if each)
    end = f"(?:.*/)?{last}" if last else ".*"
    return f"{first}/{inner}{end}" if segments[0] else f"{inner}{end}"


def _component(part: str) -> str:
    """One name's expression."""
    head, *rest = _pieces(part)
    if not rest:
        return head
    middle = "".join(f"(?>{_ANY}*?{piece})" for piece in rest[:-1])
    return f"{head}{middle}{_ANY}*{rest[-1]}"


def _pieces(pattern: str) -> list[str]:
    """What stands between single stars."""
    pieces = [""]
    position = 0
    while position < len(pattern):
        if pattern[position] == "*":
            pieces.append("")
            position += 1
        else:
            piece, position = _piece(pattern, position)
            pieces[-1] += piece
    return pieces


def _loose(pattern: str) -> list[str]:
    """The expression of a pattern that has ``**`` inside a name."""
    pieces: list[str] = []
    position = 0
    while position < len(pattern):
        if pattern.startswith(_BELOW, position):
            position += 2
            position += pattern.startswith("/", position)
            pieces.append(".*" if position == len(pattern) else "(?:.*/)?")
        elif pattern[position] == "*":
            pieces.append(f"{_ANY}*")
            position += 1
        else:
            piece, position = _piece(pattern, position)
            pieces.append(piece)
    return pieces


def _piece(pattern: str, position: int) -> tuple[str, int]:
    """What matches one character, no star, and where it ends in `pattern`."""
    char = pattern[position]
    position += 1
    if char == "?":
        return _ANY, position
    if char == "[":
        return _class(pattern, position)
    if char == "\\":
        if position == len(pattern):
            raise InvalidInput(f"invalid pattern {pattern!r}: nothing follows the backslash")
        return re.escape(pattern[position]), position + 1
    return re.escape(char), position


def _class(pattern: str, position: int) -> tuple[str, int]:
    """The class whose bracket stands before `position`, and where it ends."""
    negation = "^" if pattern.startswith("^", position) else ""
    position += len(negation)
    ranges: list[str] = []
    while not (ranges and pattern.startswith("]", position)):
        low, position = _class_character(pattern, position)
        high = low
        if pattern.startswith("-", position):
            high, position = _class_character(pattern, position + 1)
        if high < low:
            raise InvalidInput(f"invalid pattern {pattern!r}: nothing is between {low!r} and {high!r}")
        ranges.append(f"{re.escape(low)}-{re.escape(high)}")
    return f"(?!/)[{negation}{''.join(ranges)}]", position + 1


def _class_character(pattern: str, position: int) -> tuple[str, int]:
    if pattern.startswith("\\", position):
        position += 1
    elif pattern.startswith(("]", "-"), position):
        raise InvalidInput(
            f"invalid pattern {pattern!r}: {pattern[position]!r} in the wrong place of a class"
        )
    if position >= len(pattern):
        raise InvalidInput(f"invalid pattern {pattern!r}: a class without an end")
    return pattern[position], position + 1
