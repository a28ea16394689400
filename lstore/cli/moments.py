"""Moments as docker's ``--since`` and ``--until`` take them."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from layerstore.errors import UsageError
from lstore.cli.quantities import parse_duration
from lstore.cli.units import parse_time


def parse_moment(text: str, now: datetime) -> str:
    """RFC 3339, in UTC to the nanosecond, of an RFC 3339 time, seconds since 1970, or a duration before `now`.

    Raises `UsageError`.
    """
    moment = _seconds(text) or parse_time(text)
    if moment is None:
        try:
            moment = now - timedelta(microseconds=parse_duration(text) // 1000)
        except (UsageError, OverflowError) as error:
            raise UsageError(
                f"invalid time {text[:60]!r}", hint="write 2024-05-01T10:00:00Z, or 10m"
            ) from error
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")


def _seconds(text: str) -> datetime | None:
    try:
        return datetime.fromtimestamp(float(text), UTC)
    except (ValueError, OverflowError, OSError):
        return None


def moment_of_creation(environment: Mapping[str, str], now: datetime) -> datetime:
    """The time an image claims: SOURCE_DATE_EPOCH where that is set, for equal digests. Raises `UsageError`."""
    epoch = environment.get("SOURCE_DATE_EPOCH", "")
    if not epoch:
        return now
    moment = _seconds(epoch)
    if moment is None:
        raise UsageError(f"SOURCE_DATE_EPOCH is no time: {epoch[:40]!r}")
    return moment
