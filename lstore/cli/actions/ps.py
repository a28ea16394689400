"""``lstore ps``."""

from __future__ import annotations

from lstore.cli.filters import parse_filters
from lstore.cli.flags import FILTER, FORMAT, NO_TRUNC, Flag
from lstore.cli.format import Columns, list_lines
from lstore.cli.units import age, human_duration, human_size, parse_time, timestamp
from lstore.engine.containers.list import ContainerQuery, select, shown_status, size_on_disk
from runner.container import rfc3339

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from lstore.cli.flags import Given
    from lstore.cli.session import Session
    from lstore.cli.template.nodes import Row
    from lstore.engine.containers.look import Container

FLAGS: tuple[Flag, ...] = (
    Flag(("-a", "--all"), "is_all", "switch", "Show stopped containers, too"),
    Flag(("-l", "--latest"), "latest", "switch", "Show the container that was made last"),
    Flag(
        ("-n", "--last"), "last", "number", "Show the containers that were made last, this many", default=-1
    ),
    Flag(("-q", "--quiet"), "quiet", "switch", "Show ids alone"),
    Flag(("-s", "--size"), "has_size", "switch", "Show how much they have written"),
    NO_TRUNC,
    FILTER,
    FORMAT,
)
LEAST = 0
MOST = 0

_HEADINGS = {
    "ID": "CONTAINER ID",
    "Image": "IMAGE",
    "Command": "COMMAND",
    "CreatedAt": "CREATED AT",
    "RunningFor": "CREATED",
    "Status": "STATUS",
    "State": "STATE",
    "Ports": "PORTS",
    "Names": "NAMES",
    "Labels": "LABELS",
    "Networks": "NETWORKS",
    "Size": "SIZE",
}
_SHOWN = ("ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names")
_COMMAND_LENGTH = 20


def act(session: Session, given: Given, _words: Sequence[str]) -> int:
    """Print the list of containers; 0."""
    last = given.number("last")
    most = 1 if given.is_on("latest") else last if last is not None and last >= 0 else None
    engine, form = session.engine(), given.text("form")
    found = select(engine, ContainerQuery(given.is_on("is_all"), most, parse_filters(given.texts("filters"))))
    if given.is_on("quiet") and form is None:
        session.lines(each.config.id if given.is_on("no_trunc") else each.short_id for each in found)
        return 0
    has_size = given.is_on("has_size")
    needs_size = has_size or (form is not None and ".Size" in form)
    sizes = [human_size(size_on_disk(engine, each), 3) if needs_size else "" for each in found]
    now, no_trunc = session.now(), given.is_on("no_trunc")
    rows = (_row(each, size, now, no_trunc=no_trunc) for each, size in zip(found, sizes, strict=True))
    columns = Columns(_HEADINGS, (*_SHOWN, "Size") if has_size else _SHOWN)
    session.lines(list_lines(rows, columns, form))
    return 0


def _row(container: Container, size: str, now: datetime, *, no_trunc: bool) -> Row:
    config = container.config
    created = rfc3339(config.created_ns)
    command = " ".join(config.spec.args)
    if not no_trunc and len(command) > _COMMAND_LENGTH:
        command = command[: _COMMAND_LENGTH - 1] + "…"
    return {
        "ID": config.id if no_trunc else container.short_id,
        "Image": config.image,
        "Command": f'"{command}"',
        "CreatedAt": timestamp(created),
        "RunningFor": age(created, now),
        "Status": _status(container, now),
        "State": shown_status(container),
        "Ports": "",
        "Names": config.name,
        "Labels": ",".join(f"{key}={value}" for key, value in sorted(config.labels.items())),
        "Networks": config.network,
        "Size": size,
    }


def _status(container: Container, now: datetime) -> str:
    """Docker's sentence: ``Up 5 minutes (healthy)``."""
    state = container.state
    match state.status:
        case "running":
            health = f"health: {state.health}" if state.health == "starting" else state.health
            notes = "Paused" if state.is_paused else health
            return f"Up {_since(state.started_at, now)}" + (f" ({notes})" if notes else "")
        case "restarting":
            return f"Restarting ({state.exit_code}) {_since(state.finished_at, now)} ago"
        case "exited":
            return f"Exited ({state.exit_code}) {_since(state.finished_at, now)} ago"
    return state.status.capitalize()


def _since(text: str, now: datetime) -> str:
    moment = parse_time(text)
    return "" if moment is None else human_duration(now - moment)
