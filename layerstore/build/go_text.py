"""Durations, quoted strings, booleans and sizes as Go reads and writes them.

Histories and healthchecks are made of these; BuildKit's spelling is what other tools expect.
"""

import re
from collections.abc import Iterable
from typing import Final

_UNITS: Final = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_PART: Final = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)")  # both letters that look like mu
_MAX_NUMBER: Final = 40
"""Characters of a number or a duration that are looked at."""
_MAX_DURATION: Final = (1 << 63) - 1
_TRUE: Final = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE: Final = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?) ?([kKmMgGtTpP]?)[iI]?[bB]?")
_ESCAPES: Final = {
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
}


def parse_duration(text: str) -> int | None:
    """Nanoseconds of ``1h30m``, ``1.5s``, ``-2ms`` or ``0``; None for anything else. Go's ``time.ParseDuration``."""
    sign = -1 if text.startswith("-") else 1
    if len(text) > _MAX_NUMBER:
        return None
    body = text[1:] if text[:1] in ("-", "+") else text
    if body == "0":
        return 0
    position, total = 0, 0
    while (match := _PART.match(body, position)) is not None:
        whole, _, fraction = match[1].partition(".")
        unit = _UNITS[match[2]]
        total += int(whole or "0") * unit + int(fraction or "0") * unit // 10 ** len(fraction)
        position = match.end()
    if not body or position != len(body) or total > _MAX_DURATION:
        return None
    return sign * total


def parse_natural(text: str, most: int) -> int | None:
    """The number of plain digits up to `most`; None for anything else."""
    if not (text.isascii() and text.isdigit()) or len(text) > _MAX_NUMBER:
        return None
    number = int(text)
    return number if number <= most else None


def show_duration(nanoseconds: int) -> str:
    """As Go's ``time.Duration`` prints itself: ``1m30s``, ``1.5s``, ``500ms``, ``0s``."""
    sign, rest = ("-", -nanoseconds) if nanoseconds < 0 else ("", nanoseconds)
    if rest == 0:
        return "0s"
    if rest < _UNITS["s"]:
        unit = next(name for name in ("ms", "µs", "ns") if rest >= _UNITS[name])
        return f"{sign}{_decimal(rest, _UNITS[unit])}{unit}"
    minutes, seconds = divmod(rest, _UNITS["m"])
    hours, minutes = divmod(minutes, 60)
    shown = f"{_decimal(seconds, _UNITS['s'])}s"
    if hours or minutes:
        shown = f"{minutes}m{shown}"
    return f"{sign}{f'{hours}h' if hours else ''}{shown}"


def _decimal(value: int, unit: int) -> str:
    whole, fraction = divmod(value, unit)
    digits = f"{fraction:0{len(str(unit)) - 1}d}".rstrip("0")
    return f"{whole}.{digits}" if digits else str(whole)


def quote(text: str) -> str:
    """A double-quoted string, as ``%q`` prints it."""
    return '"' + "".join(_escaped(char, '"') for char in text) + '"'


def quote_character(code: int) -> str:
    """A number as ``%q`` prints it: a quoted character."""
    return "'" + _escaped(chr(code) if code < 0x110000 else "\ufffd", "'") + "'"


def quote_all(texts: Iterable[str]) -> str:
    """A list as ``%q`` prints it: ``["a" "b"]``."""
    return "[" + " ".join(quote(text) for text in texts) + "]"


def _escaped(char: str, delimiter: str) -> str:
    if char in ("\\", delimiter):
        return f"\\{char}"
    if char.isprintable():
        return char
    if char in _ESCAPES:
        return _ESCAPES[char]
    code = ord(char)
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def parse_boolean(text: str) -> bool | None:
    """What Go's ``strconv.ParseBool`` makes of `text`; None for anything else."""
    if text in _TRUE:
        return True
    return False if text in _FALSE else None


def parse_size(text: str) -> int | None:
    """Bytes of ``64m``, ``1.5g`` or ``1024``, by powers of 1024; None for anything else."""
    match = _SIZE.fullmatch(text)
    if match is None or len(text) > _MAX_NUMBER:
        return None
    power = "kmgtp".find(match[2].lower()) + 1 if match[2] else 0
    return int(float(match[1]) * 1024**power)
