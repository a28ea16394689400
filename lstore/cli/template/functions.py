"""The functions of templates: Go's predefined ones, and docker's json, join, split, title, pad, truncate.

Each takes and gives `Value`s and raises `BadArguments`, which the evaluator turns into an error that
points into the template.
"""

import json as jsonlib
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

from lstore.cli.template.nodes import Value

Function = Callable[..., Value]

_DIGITS = 6
"""Digits after the point where a template does not say how many."""
MAX_WIDTH = 1 << 16
"""Columns that padding may ask for."""


class BadArguments(Exception):
    """What a function was given does not fit it."""


def go_string(value: Value) -> str:
    """`value` as Go's ``%v`` prints it: ``[a b]`` for lists, ``map[k:v]`` sorted by key for objects."""
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return "map[" + " ".join(f"{key}:{go_string(value[key])}" for key in sorted(value)) + "]"
    if isinstance(value, Sequence):
        return "[" + " ".join(go_string(element) for element in value) + "]"
    return repr(value).removesuffix(".0")


def is_true(value: Value) -> bool:
    """Go's notion: false, 0, nil and whatever is empty are not."""
    return bool(value)


def _json(value: Value) -> str:
    """`value` as compact JSON, keys in their order."""
    return jsonlib.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _text(value: Value) -> str:
    if not isinstance(value, str):
        raise BadArguments(f"expected a string, not {go_string(value)[:40]}")
    return value


def _integer(value: Value) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadArguments(f"expected a number, not {go_string(value)[:40]}")
    return value


def _list(value: Value) -> Sequence[Value]:
    if isinstance(value, str | Mapping) or not isinstance(value, Sequence):
        raise BadArguments(f"expected a list, not {go_string(value)[:40]}")
    return value


def _join(elements: Value, separator: Value) -> Value:
    return _text(separator).join(go_string(element) for element in _list(elements or []))


def _split(text: Value, separator: Value) -> Value:
    return _text(text).split(_text(separator)) if separator else list(_text(text))


def _upper(text: Value) -> Value:
    return _text(text).upper()


def _lower(text: Value) -> Value:
    return _text(text).lower()


def _title(text: Value) -> Value:
    """The first letter of each word in upper case, the others as they are: Go's ``strings.Title``."""
    return re.sub(r"(?<!\w)\w", lambda match: match.group().upper(), _text(text))


def _truncate(text: Value, length: Value) -> Value:
    return _text(text)[: max(0, _integer(length))]


def _pad(text: Value, before: Value, after: Value) -> Value:
    """`text` between so many spaces; nothing for the empty string, as docker does."""
    left, right = (min(max(0, _integer(count)), MAX_WIDTH) for count in (before, after))
    return " " * left + _text(text) + " " * right if text else ""


def _length(value: Value) -> Value:
    if not isinstance(value, str | Mapping | Sequence):
        raise BadArguments(f"{go_string(value)[:40]} has no length")
    return len(value.encode(errors="surrogateescape")) if isinstance(value, str) else len(value)


def _index(value: Value, *keys: Value) -> Value:
    """The element that `keys` lead to; the empty string for a key that an object lacks."""
    for key in keys:
        if isinstance(value, Mapping):
            value = value.get(_text(key), "")
            continue
        elements, position = _list(value), _integer(key)
        if not 0 <= position < len(elements):
            raise BadArguments(f"index {position} is out of range for {len(elements)} elements")
        value = elements[position]
    return value


def _cut(value: Value, *bounds: Value) -> Value:
    """Go's ``slice``: the part of a string or list from the first bound to before the second."""
    whole = value if isinstance(value, str) else _list(value)
    numbers = [_integer(bound) for bound in bounds]
    if len(numbers) > 2 or any(low > high for low, high in pairwise([0, *numbers, len(whole)])):
        raise BadArguments(f"bounds {numbers} do not fit {len(whole)} elements")
    return whole[slice(*numbers)] if len(numbers) == 2 else whole[numbers[0] if numbers else 0 :]


def _print(*values: Value) -> Value:
    """Go's Sprint: a space between two operands when neither is a string."""
    result = "" if not values else go_string(values[0])
    for left, right in pairwise(values):
        is_apart = not isinstance(left, str) and not isinstance(right, str)
        result += (" " if is_apart else "") + go_string(right)
    return result


def _println(*values: Value) -> Value:
    return " ".join(go_string(value) for value in values) + "\n"


_VERB = re.compile(r"%(?P<flags>[-+0# ]*)(?P<width>\d*)(?:\.(?P<precision>\d*))?(?P<verb>.?)", re.DOTALL)


def _printf(template: Value, *values: Value) -> Value:
    remaining = list(values)

    def one(match: re.Match[str]) -> str:
        if match["verb"] == "%":
            return "%"
        if not remaining:
            return f"%!{match['verb']}(MISSING)"
        return _padded(match, remaining.pop(0))

    result = _VERB.sub(one, _text(template))
    if remaining:
        result += "%!(EXTRA " + ", ".join(_typed(value) for value in remaining) + ")"
    return result


def _padded(match: re.Match[str], value: Value) -> str:
    width = int(match["width"] or 0)
    precision = None if match["precision"] is None else int(match["precision"] or 0)
    if width > MAX_WIDTH or (precision or 0) > MAX_WIDTH:
        raise BadArguments("width or precision is too large")
    text = _formatted(match["verb"], value, precision)
    if text is None:
        return f"%!{match['verb']}({_typed(value)})"
    if "+" in match["flags"] and _is_number(value) and not text.startswith("-"):
        text = f"+{text}"
    if "-" in match["flags"]:
        return text.ljust(width)
    return text.zfill(width) if "0" in match["flags"] and _is_number(value) else text.rjust(width)


def _formatted(verb: str, value: Value, precision: int | None) -> str | None:
    """`value` as Go's fmt formats it for `verb`; None where they do not fit."""
    match verb:
        case "v":
            return go_string(value)
        case "s" if not isinstance(value, bool | int | float):
            return go_string(value)[:precision]
        case "q" if isinstance(value, str):
            return jsonlib.dumps(value, ensure_ascii=False)
        case "t" if isinstance(value, bool):
            return go_string(value)
        case "x" | "X" if isinstance(value, str):
            text = value.encode(errors="surrogateescape").hex()
            return text.upper() if verb == "X" else text
        case "d" | "x" | "X" | "o" | "b" if isinstance(value, int) and _is_number(value):
            return format(value, verb)
        case "f" | "e" | "g" if isinstance(value, float):
            if precision is None and verb == "g":
                return go_string(value)
            return format(value, f".{_DIGITS if precision is None else precision}{verb}")
    return None


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _typed(value: Value) -> str:
    """``int=1``, as Go's fmt shows an operand that does not fit."""
    names = {bool: "bool", int: "int", float: "float64", str: "string"}
    name = names.get(type(value))
    return go_string(value) if name is None else f"{name}={go_string(value)}"


def _comparable(left: Value, right: Value) -> None:
    kinds = (bool, (int, float), str, type(None))
    for kind in kinds:
        if isinstance(left, kind):  # bool comes first: Python counts it among the integers
            if isinstance(right, kind) and isinstance(right, bool) == isinstance(left, bool):
                return
            break
    raise BadArguments(f"cannot compare {go_string(left)[:40]} with {go_string(right)[:40]}")


def _equal(first: Value, *others: Value) -> Value:
    """Whether `first` equals any of `others`."""
    if not others:
        raise BadArguments("nothing to compare with")
    for other in others:
        _comparable(first, other)
    return any(first == other for other in others)


def _less(left: Value, right: Value) -> Value:
    _comparable(left, right)
    if isinstance(left, str) and isinstance(right, str):
        return left < right
    if isinstance(left, int | float) and isinstance(right, int | float) and not isinstance(left, bool):
        return left < right
    raise BadArguments(f"cannot order {go_string(left)[:40]} and {go_string(right)[:40]}")


def _and(*values: Value) -> Value:
    return next((value for value in values if not is_true(value)), values[-1] if values else None)


def _or(*values: Value) -> Value:
    return next((value for value in values if is_true(value)), values[-1] if values else None)


FUNCTIONS: Mapping[str, Function] = {
    "json": _json,
    "join": _join,
    "split": _split,
    "upper": _upper,
    "lower": _lower,
    "title": _title,
    "truncate": _truncate,
    "pad": _pad,
    "len": _length,
    "index": _index,
    "slice": _cut,
    "print": _print,
    "println": _println,
    "printf": _printf,
    "eq": _equal,
    "ne": lambda left, right: not _equal(left, right),
    "lt": _less,
    "gt": lambda left, right: _less(right, left),
    "le": lambda left, right: not _less(right, left),
    "ge": lambda left, right: not _less(left, right),
    "and": _and,
    "or": _or,
    "not": lambda value: not is_true(value),
}
