"""Values as JSON and back: what a container's directory keeps of it.

Each `Value` carries the name of its class, so that fields that come later need no code here. Text that was
bytes (surrogates) survives, since the JSON is ASCII.
"""

from __future__ import annotations

import json

from layerstore.errors import StoreDamaged
from layerstore.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TypeVar

    V = TypeVar("V", bound=Value)

_CLASS = "class"
_SET = "set"


def dump(value: Value) -> bytes:
    """`value` as one line of JSON. Its fields are values, tuples, sets and mappings of text, numbers and None."""
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":")).encode()


def load(raw: bytes, kind: type[V], inner: Iterable[type[Value]], what: str) -> V:
    """The `kind` that `raw` spells, with values of the classes `inner` in it.

    Raises `StoreDamaged`, which names `what`.
    """
    known: dict[str, type[Value]] = {each.__name__: each for each in inner}
    known[kind.__name__] = kind
    try:
        value = _value(json.loads(raw), known)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise StoreDamaged(f"cannot read {what}: {error}") from error
    if not isinstance(value, kind):
        raise StoreDamaged(f"cannot read {what}: it is no {kind.__name__}")
    return value


def _plain(value: object) -> object:
    if isinstance(value, Value):
        return {_CLASS: type(value).__name__, **{name: _plain(each) for name, each in vars(value).items()}}
    if isinstance(value, frozenset):
        return {_CLASS: _SET, "items": sorted(value)}
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return value


def _value(plain: object, known: dict[str, type[Value]]) -> object:
    if isinstance(plain, list):
        return tuple(_value(each, known) for each in plain)
    if not isinstance(plain, dict):
        return plain
    if _CLASS not in plain:
        return plain
    name = plain.pop(_CLASS)
    if name == _SET:
        return frozenset(plain["items"])
    return known[name](**{field: _value(each, known) for field, each in plain.items()})
