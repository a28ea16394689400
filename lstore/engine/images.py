"""`images`: which images there are, filtered as docker filters them."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase

from layerstore.dataclass import dataclass, field
from layerstore.errors import UsageError
from layerstore.oci.reference import Reference
from layerstore.store.store import Store
from lstore.engine import catalog
from lstore.engine.catalog import Image

_DURATION = re.compile(r"(?:(?P<h>\d+)h)?(?:(?P<m>\d+)m)?(?:(?P<s>\d+)s)?\Z")
_FRACTION = re.compile(r"(\.\d{6})\d+")

Predicate = Callable[[Image], bool]


@dataclass(frozen=True, slots=True)
class ImageQuery:
    """Which images are wanted: those whose name matches `pattern` and that pass every one of `filters`.

    `filters` has docker's keys (dangling, reference, before, since, label, label!, until), each with its
    values: of several values of one key one must hold, of label all.
    """

    pattern: str = ""
    filters: Mapping[str, Sequence[str]] = field(default_factory=dict)


def list_images(store: Store, query: ImageQuery, now: datetime) -> tuple[Image, ...]:
    """The images that `query` asks for, the newest first.

    Where the query is for names (a pattern, or the filter reference), an image keeps only the refs that
    match. Raises `UsageError` for an unknown filter, `NotFound` for an image that before or since names.
    """
    predicates = [_predicate(store, key, values, now) for key, values in query.filters.items()]
    patterns = [*([query.pattern] if query.pattern else []), *query.filters.get("reference", ())]
    found = [
        image for image in catalog.images(store, store.refs.read()) if all(each(image) for each in predicates)
    ]
    return tuple(_narrowed(image, patterns) for image in found if _is_named(image, patterns))


def select(
    candidates: Sequence[Image], filters: Mapping[str, Sequence[str]], now: datetime
) -> tuple[Image, ...]:
    """Those of `candidates` that pass the filters of a prune: until, label, label!. Raises `UsageError`."""
    unknown = set(filters) - {"until", "label", "label!"}
    if unknown:
        raise UsageError(f"invalid filter {sorted(unknown)[0]!r}: there are until, label and label!")
    predicates = [_pure_predicate(key, values, now) for key, values in filters.items()]
    return tuple(image for image in candidates if all(each(image) for each in predicates))


def _predicate(store: Store, key: str, values: Sequence[str], now: datetime) -> Predicate:
    match key:
        case "reference":
            return lambda image: True  # names are narrowed, image by image, in list_images
        case "before":
            limit = catalog.find(store, values[-1]).created
            return lambda image: image.created < limit
        case "since":
            limit = catalog.find(store, values[-1]).created
            return lambda image: image.created > limit
    return _pure_predicate(key, values, now)


def _pure_predicate(key: str, values: Sequence[str], now: datetime) -> Predicate:
    match key:
        case "dangling":
            wanted = {_boolean(key, value) for value in values}
            return lambda image: image.is_dangling in wanted
        case "until":
            moment = min(parse_moment(value, now) for value in values)
            return lambda image: _is_before(image, moment)
        case "label":
            return lambda image: all(_has_label(image, value) for value in values)
        case "label!":
            return lambda image: not any(_has_label(image, value) for value in values)
    known = "dangling, reference, before, since, until, label"
    raise UsageError(f"invalid filter {key!r}: there are {known}")


def _boolean(key: str, value: str) -> bool:
    if value.lower() not in ("true", "false", "1", "0"):
        raise UsageError(f"invalid filter '{key}={value}': it is true or false")
    return value.lower() in ("true", "1")


def _has_label(image: Image, wanted: str) -> bool:
    labels = (image.config.defaults.labels or {}) if image.config is not None else {}
    key, equals, value = wanted.partition("=")
    return key in labels and (not equals or labels[key] == value)


def _is_before(image: Image, moment: datetime) -> bool:
    try:
        return parse_moment(image.created, moment) < moment
    except UsageError:
        return False


def parse_moment(text: str, now: datetime) -> datetime:
    """The moment of an RFC 3339 time, a date, Unix seconds, or a duration before `now` (``24h``, ``1h30m``).

    Raises `UsageError`.
    """
    duration = _DURATION.match(text)
    if text and duration:
        hours, minutes, seconds = (int(duration[unit] or 0) for unit in "hms")
        return now - timedelta(hours=hours, minutes=minutes, seconds=seconds)
    try:
        if text.isdigit():
            return datetime.fromtimestamp(int(text), UTC)
        moment = datetime.fromisoformat(_FRACTION.sub(r"\1", text))
    except (ValueError, OverflowError, OSError) as error:
        raise UsageError(
            f"invalid time {text[:80]!r}: it is written 24h, 2024-05-01 or in Unix seconds"
        ) from error
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _is_named(image: Image, patterns: Sequence[str]) -> bool:
    return not patterns or any(_matches(name, pattern) for name in image.names for pattern in patterns)


def _narrowed(image: Image, patterns: Sequence[str]) -> Image:
    if not patterns:
        return image
    kept = tuple(
        ref
        for ref in image.refs
        if ref.name is not None and any(_matches(ref.name, pattern) for pattern in patterns)
    )
    return Image(image.descriptor, kept, image.manifest, image.config, image.damage)


def _matches(name: Reference, pattern: str) -> bool:
    """Docker's rule: the pattern fits the familiar or full name, with the tag or, where it has none, without."""
    forms = (name.familiar_name, name.name, name.familiar, str(name), name.repository)
    return any(fnmatchcase(form, pattern) for form in forms)
