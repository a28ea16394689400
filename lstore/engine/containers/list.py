"""`ps`: which containers there are, filtered as docker filters them, the most recently made first."""

from __future__ import annotations

import os

from layerstore.errors import NotFound, UsageError
from layerstore.value import Value
from lstore.engine.containers import places
from lstore.engine.containers.look import examine_all, look

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lstore.engine.containers.look import Container
    from lstore.engine.engine import Engine

    Predicate = Callable[[Container], bool]

STATUSES = ("created", "restarting", "running", "removing", "paused", "exited", "dead")
_HEALTH = ("starting", "healthy", "unhealthy", "none")


class ContainerQuery(Value):
    """Those that run, or with `all_of_them` the others too; at most `most` of these, the last made.

    `filters` has docker's keys, each with its values: of several values of one key one must hold (of labels,
    all).
    """

    all_of_them: bool = False
    most: int | None = None
    filters: Mapping[str, Sequence[str]] = {}


def select(engine: Engine, query: ContainerQuery) -> list[Container]:
    """The containers that `query` asks for. Raises `UsageError` for a filter that there is none of."""
    tests = [_test(engine, key, values) for key, values in query.filters.items()]
    found = sorted(examine_all(engine), key=lambda each: each.config.created_ns, reverse=True)
    wants_all = (
        query.all_of_them or query.most is not None or bool({"status", "exited"} & query.filters.keys())
    )
    chosen = [
        each for each in found if (wants_all or each.state.is_alive) and all(test(each) for test in tests)
    ]
    return chosen if query.most is None else chosen[: query.most]


def shown_status(container: Container) -> str:
    """Docker's ``State.Status``."""
    return "paused" if container.state.is_paused else container.state.status


def size_on_disk(engine: Engine, container: Container) -> int:
    """Bytes that the container has written."""
    from layerstore.disk.trees import Meter

    upper = os.path.join(places.snapshot_of(engine, container.config.id), "upper")
    return Meter().measure(upper).size


def _test(engine: Engine, key: str, values: Sequence[str]) -> Predicate:
    make = _TESTS.get(key)
    if make is None:
        raise UsageError(f"invalid filter {key!r}: there are {', '.join(sorted(_TESTS))}")
    tests = [make(engine, value) for value in values]
    combine = all if key.rstrip("!") == "label" else any
    return lambda container: combine(test(container) for test in tests)


def _id(_engine: Engine, value: str) -> Predicate:
    return lambda container: container.config.id.startswith(value)


def _name(_engine: Engine, value: str) -> Predicate:
    import re  # a third of what lstore ps imports, and few filter

    try:
        pattern = re.compile(value.removeprefix("/") if value.startswith("/") else value)
    except re.error as error:
        raise UsageError(f"invalid filter name={value[:80]!r}: {error}") from error
    return lambda container: pattern.search(container.config.name) is not None


def _label(_engine: Engine, value: str) -> Predicate:
    name, equals, wanted = value.partition("=")
    if not equals:
        return lambda container: name in container.config.labels
    return lambda container: container.config.labels.get(name) == wanted


def _no_label(engine: Engine, value: str) -> Predicate:
    has = _label(engine, value)
    return lambda container: not has(container)


def _exited(_engine: Engine, value: str) -> Predicate:
    if not value.isascii() or not value.isdigit():
        raise UsageError(f"invalid filter exited={value[:40]!r}: it must be an exit status")
    return lambda container: container.state.status == "exited" and container.state.exit_code == int(value)


def _status(_engine: Engine, value: str) -> Predicate:
    if value not in STATUSES:
        raise UsageError(f"invalid filter status={value[:40]!r}: there are {', '.join(STATUSES)}")
    return lambda container: shown_status(container) == value


def _health(_engine: Engine, value: str) -> Predicate:
    if value not in _HEALTH:
        raise UsageError(f"invalid filter health={value[:40]!r}: there are {', '.join(_HEALTH)}")
    return lambda container: (container.state.health or "none") == value


def _ancestor(engine: Engine, value: str) -> Predicate:
    """Made of that image, or of one with further layers on it; of one that is not here, nothing is."""
    from lstore.engine import catalog

    try:
        image = catalog.find(engine.store, value)
    except NotFound:
        return lambda _container: False
    identity = str(image.id)
    below = tuple(map(str, image.config.diff_ids)) if image.config is not None else ()

    def is_descendant(container: Container) -> bool:
        layers = container.config.diff_ids
        is_on_it = bool(below) and len(layers) > len(below) and layers[: len(below)] == below
        return is_on_it or container.config.image_id == identity

    return is_descendant


def _before(engine: Engine, value: str) -> Predicate:
    moment = look(engine, value).config.created_ns
    return lambda container: container.config.created_ns < moment


def _since(engine: Engine, value: str) -> Predicate:
    moment = look(engine, value).config.created_ns
    return lambda container: container.config.created_ns > moment


def _network(_engine: Engine, value: str) -> Predicate:
    return lambda container: container.config.network == value


_TESTS: Mapping[str, Callable[[Engine, str], Predicate]] = {
    "ancestor": _ancestor,
    "before": _before,
    "exited": _exited,
    "health": _health,
    "id": _id,
    "label": _label,
    "label!": _no_label,
    "name": _name,
    "network": _network,
    "since": _since,
    "status": _status,
}
