"""What somebody may have meant: the nearest of some known words."""

from collections.abc import Iterable
from typing import Final

_FARTHEST: Final = 2
"""Changed, added or removed letters. BuildKit's bound, by which RUNN is RUN and EXPOSE is not VOLUME."""
_MAX_LENGTH: Final = 64


def nearest(word: str, known: Iterable[str], *, ignore_case: bool = False) -> str | None:
    """The one of `known` that is nearest to `word`, the first of equals; None where none is near."""
    if len(word) > _MAX_LENGTH:
        return None
    wanted = word.lower() if ignore_case else word
    best, least = None, min(_FARTHEST, len(word) - 1) + 1
    for option in sorted(known):
        distance = _distance(wanted, option.lower() if ignore_case else option)
        if 0 < distance < least:
            best, least = option, distance
    return best


def did_you_mean(word: str, known: Iterable[str], *, ignore_case: bool = False, sign: str = "") -> str:
    """`` (did you mean X?)`` to end a message with, or nothing. `sign` goes before X."""
    found = nearest(word, known, ignore_case=ignore_case)
    return "" if found is None else f" (did you mean {sign}{found}?)"


def _distance(one: str, other: str) -> int:
    """Levenshtein's."""
    if abs(len(one) - len(other)) > _FARTHEST:
        return _FARTHEST + 1
    previous = list(range(len(other) + 1))
    for row, char in enumerate(one, 1):
        current = [row]
        for column, there in enumerate(other, 1):
            change = previous[column - 1] + (char != there)
            current.append(min(change, previous[column] + 1, current[-1] + 1))
        previous = current
    return previous[-1]
