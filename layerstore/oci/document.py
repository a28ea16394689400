"""Bounded parsing of foreign JSON, and typed access to its fields.

Refused with `InvalidDocument`: more than the given number of bytes, text that is not UTF-8 JSON, a
root that is no object, duplicate keys (two readers would see two documents), deep nesting, numbers
and strings that JSON or UTF-8 could not spell again, and fields of the wrong type. Unknown fields are
left alone.
"""

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import TypeVar, cast

from layerstore.errors import InvalidDocument, LimitExceeded

Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]
Object = Mapping[str, Json]
T = TypeVar("T")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")

MAX_DOCUMENT = 8 << 20
"""Bytes in a manifest, index or config that lstore will read: twice what registries accept."""
MAX_NESTING = 64
"""Objects and arrays inside each other: far below where Python's own parser and printer give up."""


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        repeated = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]  # set.add's None is the point
        raise InvalidDocument(f"key {repeated[:80]!r} appears twice")
    return result


def _no_constant(text: str) -> Json:
    raise InvalidDocument(f"{text} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise InvalidDocument(f"{text[:80]} is a number beyond all bounds")
    return value


def parse_object(raw: bytes, what: str, *, limit: int = MAX_DOCUMENT) -> Object:
    """The JSON object that `raw` spells; `what` names it in errors ("image manifest").

    Raises `LimitExceeded` over `limit` bytes, else `InvalidDocument`.
    """
    value = _parse(raw, what, limit)
    if not isinstance(value, dict):
        raise InvalidDocument(f"{what} is not a JSON object")
    return value


def parse_array(raw: bytes, what: str, *, limit: int = MAX_DOCUMENT) -> Sequence[Json]:
    """The JSON array that `raw` spells, as docker's archives have one. Raises as `parse_object`."""
    value = _parse(raw, what, limit)
    if not isinstance(value, list):
        raise InvalidDocument(f"{what} is not a JSON array")
    return value


def _parse(raw: bytes, what: str, limit: int) -> Json:
    if len(raw) > limit:
        raise LimitExceeded(f"{what} has {len(raw)} bytes, over the limit of {limit}")
    try:
        value = cast(
            Json,
            json.loads(
                raw.decode("utf-8"),
                object_pairs_hook=_unique,
                parse_constant=_no_constant,
                parse_float=_finite,
            ),
        )
    except InvalidDocument as error:
        raise InvalidDocument(f"{what}: {error.message}") from error
    except (ValueError, RecursionError) as error:  # ValueError: JSON, Unicode, over-long integers
        raise InvalidDocument(f"{what} is not valid JSON: {str(error)[:120]}") from error
    if isinstance(value, dict | list) and _may_be_unwritable(raw):
        _check_values(value, what)
    return value


def _may_be_unwritable(raw: bytes) -> bool:
    """Whether the parsed value must be walked: nothing nests deeper than brackets were opened."""
    return raw.count(b"{") + raw.count(b"[") > MAX_NESTING or _SURROGATE.search(raw) is not None


def _check_values(root: Json, what: str) -> None:
    """Refuse what parses but could not be dumped again: deep nesting and lone surrogates."""
    level = [root]
    for _ in range(MAX_NESTING):
        parts = [part for each in level for part in _parts(each)]
        if any(isinstance(part, str) and not _is_encodable(part) for part in parts):
            raise InvalidDocument(f"{what} has text with a lone surrogate")
        level = [part for part in parts if isinstance(part, dict | list)]
        if not level:
            return
    raise InvalidDocument(f"{what} is nested deeper than {MAX_NESTING}")


def _parts(value: Json) -> Iterable[Json]:
    if isinstance(value, dict):
        return chain(value, value.values())
    return cast(Sequence[Json], value)


def _is_encodable(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def dump(value: Json) -> bytes:
    """Canonical bytes for a document of our own: sorted keys, no white space, UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def text(source: Object, key: str, default: str = "") -> str:
    """The string at `key`; `default` where it is absent or null. Raises `InvalidDocument`."""
    value = source.get(key)
    if value is None:
        return default
    if not isinstance(value, str):
        raise InvalidDocument(f"field {key!r} is not a string")
    return value


def required_text(source: Object, key: str) -> str:
    """The non-empty string at `key`. Raises `InvalidDocument`."""
    value = text(source, key)
    if not value:
        raise InvalidDocument(f"field {key!r} is missing")
    return value


def natural(source: Object, key: str, default: int | None = None) -> int:
    """The non-negative integer below 2^63 at `key`; `default`, where given, stands for an absent one.

    Raises `InvalidDocument`.
    """
    value = source.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 63:
        raise InvalidDocument(f"field {key!r} is not a size")
    return value


def child(source: Object, key: str) -> Object:
    """The object at `key`, empty where it is absent or null. Raises `InvalidDocument`."""
    value = source.get(key)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidDocument(f"field {key!r} is not an object")
    return value


def items(source: Object, key: str, parse: Callable[[Json], T], *, limit: int) -> tuple[T, ...]:
    """Each element of the array at `key` through `parse`; empty where it is absent or null.

    Raises `LimitExceeded` where there are more than `limit`, `InvalidDocument`, and what `parse` raises.
    """
    value = source.get(key)
    if value is None:
        return ()
    if not isinstance(value, list):
        raise InvalidDocument(f"field {key!r} is not an array")
    if len(value) > limit:
        raise LimitExceeded(f"field {key!r} has {len(value)} elements, over the limit of {limit}")
    return tuple(parse(element) for element in value)


def as_text(value: Json) -> str:
    """`value`, which must be a string. Raises `InvalidDocument`."""
    if not isinstance(value, str):
        raise InvalidDocument("an array element is not a string")
    return value


def as_object(value: Json) -> Object:
    """`value`, which must be an object. Raises `InvalidDocument`."""
    if not isinstance(value, Mapping):
        raise InvalidDocument("an array element is not an object")
    return value


def string_map(source: Object, key: str) -> Mapping[str, str]:
    """The object of strings at `key`, empty where it is absent or null. Raises `InvalidDocument`."""
    value = child(source, key)
    for name, element in value.items():
        if not isinstance(element, str):
            raise InvalidDocument(f"field {key!r}: {name[:80]!r} is not a string")
    return cast(Mapping[str, str], value)
