"""Quantities as docker's options have them: durations and binary sizes. Pure, and without ``re``."""

from __future__ import annotations

from layerstore.errors import UsageError

_NANOSECONDS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_BINARY = "bkmgtp"


def parse_duration(text: str) -> int:
    """Nanoseconds of ``1h30m``, ``1.5s`` or ``100ms``: Go's time.ParseDuration. Raises `UsageError`."""
    rest, total = text.strip(), 0
    while rest:
        number, rest = _split(rest, "0123456789.")
        unit, rest = _split(rest, "nuµmsh")
        if unit not in _NANOSECONDS or number.count(".") > 1 or not number.strip("."):
            break
        total += round(float(number) * _NANOSECONDS[unit])
    else:
        if text.strip():
            return total
    raise UsageError(f"invalid duration {text[:40]!r}", hint="write it as 30s or 1m30s")


def parse_binary_size(text: str) -> int:
    """The bytes of ``10m``, ``1.5g``, ``4096`` or ``64kb``, in powers of 1024. Raises `UsageError`."""
    number, unit = _split(text.strip().lower(), "0123456789.")
    unit = unit.strip().removesuffix("ib").removesuffix("b") or "b"
    if unit not in _BINARY or len(unit) != 1 or number.count(".") > 1 or not number.strip("."):
        raise UsageError(f"invalid size {text[:40]!r}", hint="write it as 64m or 2g")
    return int(float(number) * 1024 ** _BINARY.index(unit))


def _split(text: str, characters: str) -> tuple[str, str]:
    rest = text.lstrip(characters)
    return text[: len(text) - len(rest)], rest
