"""Values as JSON and back: what a container's directory keeps of it.

Each `Value` carries the name of its class, so that fields that come later need no code here. Text that was
bytes (surrogates) survives, since the JSON is ASCII.
"""

from __future__ import annotations

import marshal
from _json import encode_basestring_ascii, make_scanner  # json itself costs 6 ms and 0.7 MB, for `re`

from layerstore.errors import StoreDamaged
from layerstore.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TypeVar

    V = TypeVar("V", bound=Value)

_CLASS = "class"
_SET = "set"
_MAPPING = "mapping"  # kept inside one of ours, as its keys are anybody's, "class" among them


def dump(value: Value) -> bytes:
    """`value` as one line of JSON. Its fields are values, tuples, sets and mappings of text, numbers and None."""
    return as_json(_plain(value)).encode()


def as_json(plain: object) -> str:
    """What ``json.dumps`` gives for text, integers, None, lists and mappings of text."""
    if isinstance(plain, str):
        return encode_basestring_ascii(plain)
    if plain is None or isinstance(plain, bool):
        return {None: "null", True: "true", False: "false"}[plain]
    if isinstance(plain, int):
        return str(plain)
    if isinstance(plain, list):
        return f"[{','.join(map(as_json, plain))}]"
    if isinstance(plain, dict):
        members = (f"{encode_basestring_ascii(key)}:{as_json(each)}" for key, each in sorted(plain.items()))
        return f"{{{','.join(members)}}}"
    raise TypeError(f"cannot record a {type(plain).__name__}")


def pack(value: Value) -> bytes:
    """`value` for another process of the same interpreter, which reads it with `unpack`."""
    return marshal.dumps(_plain(value))  # type: ignore[arg-type]  # lists and mappings of text and numbers


def unpack(raw: bytes, kind: type[V], inner: Iterable[type[Value]]) -> V:
    """What `pack` wrote."""
    value = _value(marshal.loads(raw), _known(kind, inner))  # noqa: S302 - of our own launcher
    if not isinstance(value, kind):
        raise TypeError(f"expected a {kind.__name__}")
    return value


def load(raw: bytes, kind: type[V], inner: Iterable[type[Value]], what: str) -> V:
    """The `kind` that `raw` spells, with values of the classes `inner` in it.

    Raises `StoreDamaged`, which names `what`.
    """
    try:
        value = _value(from_json(raw.decode()), _known(kind, inner))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise StoreDamaged(f"cannot read {what}: {error}") from error
    if not isinstance(value, kind):
        raise StoreDamaged(f"cannot read {what}: it is no {kind.__name__}")
    return value


class _Dialect:
    """How the scanner that ``json`` uses too is to read: as that does by itself."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float


_scan = make_scanner(_Dialect)  # type: ignore[arg-type]  # any object with these attributes, says C


def from_json(text: str) -> object:
    """What `as_json` wrote. Raises ``ValueError``."""
    try:
        value, end = _scan(text, 0)
    except StopIteration as stop:
        raise ValueError(f"no value at {stop.value}") from None
    if text[end:].strip():
        raise ValueError(f"more than one value, at {end}")
    return value


def _known(kind: type[Value], inner: Iterable[type[Value]]) -> dict[str, type[Value]]:
    known = {each.__name__: each for each in inner}
    return {**known, kind.__name__: kind}


def _plain(value: object) -> object:
    if isinstance(value, Value):
        return {_CLASS: type(value).__name__, **{name: _plain(each) for name, each in vars(value).items()}}
    if isinstance(value, frozenset):
        return {_CLASS: _SET, "items": sorted(value)}
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {_CLASS: _MAPPING, "items": value}
    return value


def _value(plain: object, known: dict[str, type[Value]]) -> object:
    if isinstance(plain, list):
        return tuple(_value(each, known) for each in plain)
    if not isinstance(plain, dict):
        return plain
    name = plain.pop(_CLASS)
    if name == _SET:
        return frozenset(plain["items"])
    if name == _MAPPING:
        return plain["items"]
    return known[name](**{field: _value(each, known) for field, each in plain.items()})
