"""``--filter``, as several commands have it. Pure."""

from __future__ import annotations

from layerstore.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


def parse_filters(values: Iterable[str]) -> Mapping[str, Sequence[str]]:
    """``key=value`` and ``key!=value`` by key (the latter as ``key!``). Raises `UsageError`."""
    found: dict[str, list[str]] = {}
    for text in values:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise UsageError(f"invalid filter {text[:80]!r}: it must be KEY=VALUE")
        found.setdefault(key.strip().lower(), []).append(value.strip())
    return found
