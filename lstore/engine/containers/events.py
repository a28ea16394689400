"""`events`: what happened to containers, from the log of events, and what goes on happening."""

from __future__ import annotations

import os
import re

from layerstore.errors import UsageError, storage_error
from lstore.engine.containers import places
from lstore.engine.containers.growing_file import records
from runner.container import rfc3339
from runner.events import event_path
from runner.watch import Watch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import BinaryIO

    from layerstore.oci.document import Json
    from lstore.engine.engine import Engine

    Event = Mapping[str, Json]

_FLAGS = os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_FILTERS = ("container", "event", "image", "label", "type")


def events(
    engine: Engine, *, since: str = "", until: str = "", now: str, filters: Mapping[str, Sequence[str]]
) -> Iterator[Event]:
    """Events from `since` on (else from `now`), and before `until`, waited for where that is yet to come.

    Moments are RFC 3339. `filters` has docker's keys, each with its values, of which one must hold. Raises
    `UsageError`, `StorageError`.
    """
    for key in filters:
        if key not in _FILTERS:
            raise UsageError(f"invalid filter {key!r}: there are {', '.join(_FILTERS)}")
    start = since or now
    for event in _all(places.containers_of(engine), until, now):
        moment = event_time(event)
        if until and moment >= until:
            return
        if moment >= start and _passes(event, filters):
            yield event


def event_time(event: Event) -> str:
    """When it happened, RFC 3339."""
    nanoseconds = event.get("timeNano")
    return rfc3339(nanoseconds) if isinstance(nanoseconds, int) else ""


def actor(event: Event) -> tuple[str, Mapping[str, str]]:
    """The id that it happened to, and its attributes."""
    found = event.get("Actor")
    source = found if isinstance(found, dict) else {}
    attributes = source.get("Attributes")
    return str(source.get("ID", "")), attributes if isinstance(attributes, dict) else {}


def _all(containers: str, until: str, now: str) -> Iterator[Event]:
    """What is in the log; unless `until` is past, also what comes."""
    try:
        os.makedirs(containers, mode=0o711, exist_ok=True)
        with Watch(containers) as watch:
            current = _open(containers)
            try:
                yield from _older(containers)
                while True:
                    yield from records(current)
                    if not os.path.samestat(os.stat(event_path(containers)), os.fstat(current.fileno())):
                        yield from records(current)
                        current.close()
                        current = _open(containers)
                    elif (until and until <= now) or not watch.wait(_left(now, until)):
                        return
            finally:
                current.close()
    except OSError as error:
        raise storage_error(error, "read the log of events") from error


def _open(containers: str) -> BinaryIO:
    return open(os.open(event_path(containers), _FLAGS, 0o600), "rb")  # followed for good


def _older(containers: str) -> Iterator[Event]:
    try:
        stream = open(event_path(containers, 1), "rb")  # noqa: SIM115  # see the next line
    except FileNotFoundError:
        return
    with stream:
        yield from records(stream)


def _left(now: str, until: str) -> float | None:
    """The seconds from `now` to `until`; None where there is no such moment."""
    from datetime import datetime

    if not until:
        return None
    first, second = (datetime.fromisoformat(text[:26] + "+00:00") for text in (now, until))
    return (second - first).total_seconds()


def _passes(event: Event, filters: Mapping[str, Sequence[str]]) -> bool:
    return all(any(_TESTS[key](event, value) for value in values) for key, values in filters.items())


def _is_container(event: Event, value: str) -> bool:
    identity, attributes = actor(event)
    return identity.startswith(value) or attributes.get("name") == value


def _is_action(event: Event, value: str) -> bool:
    return re.split(": ?", str(event.get("Action")), maxsplit=1)[0] == value


def _has_label(event: Event, value: str) -> bool:
    name, equals, wanted = value.partition("=")
    attributes = actor(event)[1]
    return attributes.get(name) == wanted if equals else name in attributes


_TESTS: Mapping[str, Callable[[Event, str], bool]] = {
    "container": _is_container,
    "event": _is_action,
    "image": lambda event, value: actor(event)[1].get("image") == value,
    "label": _has_label,
    "type": lambda event, value: event.get("Type") == value,
}
