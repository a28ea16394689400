"""Challenges: what a WWW-Authenticate field asks for. RFC 9110, section 11.6.1.

The parser forgives what registries in the wild get wrong (values without quotes, stray commas), never
raises, and reads each character a bounded number of times.
"""

import re
from collections.abc import Iterable, Mapping

from layerstore.dataclass import dataclass

MAX_FIELD = 16 << 10
"""Characters of one WWW-Authenticate field that are looked at."""
MAX_CHALLENGES = 16

_BLANKS = re.compile(r"[ \t,]*")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_EQUALS = re.compile(r"[ \t]*=[ \t]*(?![=,\s]|\Z)")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_BARE = re.compile(r'[^",\s]+')
_ESCAPE = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class Challenge:
    """An authentication scheme and its parameters, both names in lower case."""

    scheme: str
    parameters: Mapping[str, str]


def parse_challenges(fields: Iterable[str]) -> tuple[Challenge, ...]:
    """The challenges of all WWW-Authenticate `fields`, in order; what makes no sense is passed over."""
    found: list[Challenge] = []
    for field in fields:
        found.extend(_parse(field[:MAX_FIELD]))
    return tuple(found[:MAX_CHALLENGES])


def _parse(field: str) -> list[Challenge]:
    found: list[tuple[str, dict[str, str]]] = []
    position = _skip(_BLANKS, field, 0)
    while position < len(field):
        name = _NAME.match(field, position)
        if name is None:
            position += 1
        else:
            equals = _EQUALS.match(field, name.end())
            if equals is None:
                found.append((name[0].lower(), {}))
                position = name.end()
            else:
                value, position = _value(field, equals.end())
                if found:
                    found[-1][1].setdefault(name[0].lower(), value)
        position = _skip(_BLANKS, field, position)
    return [Challenge(scheme, parameters) for scheme, parameters in found]


def _value(field: str, position: int) -> tuple[str, int]:
    quoted = _QUOTED.match(field, position)
    if quoted is not None:
        return _ESCAPE.sub(r"\1", quoted[1]), quoted.end()
    bare = _BARE.match(field, position)
    return (bare[0], bare.end()) if bare is not None else ("", position)


def _skip(pattern: re.Pattern[str], field: str, position: int) -> int:
    match = pattern.match(field, position)
    return position if match is None else match.end()
