"""Sizes, ages and times as docker prints them (go-units ``HumanSize``, ``HumanDuration``). Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from layerstore.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
_BINARY_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_HOURS_OF = (("days", 24, 14 * 24), ("weeks", 7 * 24, 60 * 24), ("months", 30 * 24, 730 * 24))
_SIZE = r"(?P<number>\d+(?:\.\d+)?) ?(?P<unit>[kmgtpe]?)b?"
UNKNOWN = "N/A"


def human_size(size: int, precision: int = 4) -> str:
    """`size` bytes in powers of 1000 to `precision` significant digits: ``5.09MB`` with 3."""
    return _scaled(size, 1000, _UNITS, precision)


def human_binary_size(size: int) -> str:
    """`size` bytes in powers of 1024 to four significant digits: ``5.09MiB``."""
    return _scaled(size, 1024, _BINARY_UNITS, 4)


def _scaled(size: int, base: int, units: Sequence[str], precision: int) -> str:
    """Where rounding reaches the next unit it is used, so that no exponent is ever printed."""
    value = float(size)
    for unit in units[:-1]:
        if float(f"{value:.{precision}g}") < base:
            return f"{value:.{precision}g}{unit}"
        value /= base
    return f"{value:.{precision}g}{units[-1]}"


def parse_size(text: str) -> int:
    """The bytes of ``20GB``, ``1.5g`` or ``4096``, in powers of 1000. Raises `UsageError`."""
    import re  # a third of what lstore ps imports, and it asks for no size

    match = re.fullmatch(_SIZE, text.strip(), re.IGNORECASE)
    if match is None:
        raise UsageError(f"invalid size {text[:80]!r}: it is written 500MB or 20GB")
    return int(float(match["number"]) * 1000 ** " kmgtpe".index(match["unit"].lower() or " "))


def human_duration(duration: timedelta) -> str:
    """`duration` as a person says it: ``About an hour``, ``2 weeks``."""
    seconds = int(duration.total_seconds())
    if seconds < 60:
        return "Less than a second" if seconds < 1 else _count(seconds, "second")
    if seconds < 3600:
        return "About a minute" if seconds < 120 else f"{seconds // 60} minutes"
    hours = (seconds + 1800) // 3600
    if hours < 48:
        return "About an hour" if hours == 1 else f"{hours} hours"
    for name, length, limit in _HOURS_OF:
        if hours < limit:
            return f"{hours // length} {name}"
    return f"{seconds // 3600 // 24 // 365} years"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def parse_time(text: str) -> datetime | None:
    """The moment an RFC 3339 `text` names, in UTC; None where it names none (or Go's zero time)."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC) if moment.year > 1 else None


def age(text: str, now: datetime) -> str:
    """How long before `now` the RFC 3339 time `text` was: ``2 weeks ago``."""
    moment = parse_time(text)
    return UNKNOWN if moment is None else f"{human_duration(now - moment)} ago"


def timestamp(text: str) -> str:
    """The RFC 3339 time `text` as Go's ``time.Time`` prints: ``2024-05-01 10:00:00 +0000 UTC``."""
    moment = parse_time(text)
    return UNKNOWN if moment is None else moment.strftime("%Y-%m-%d %H:%M:%S +0000 UTC")
