"""``lstore ps``, ``lstore container ls``."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import click

from lstore.cli.format import Columns, Row, list_lines
from lstore.cli.options import filter_option, format_option, no_trunc_option, parse_filters
from lstore.cli.parsing import verb
from lstore.cli.session import Session
from lstore.cli.units import age, human_duration, human_size, parse_time, timestamp
from lstore.cli.verbs import PS

if TYPE_CHECKING:
    from lstore.engine.containers.upkeep import Container

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


@verb(PS)
@click.option("-a", "--all", "is_all", is_flag=True, help="Show those that do not run, too")
@click.option("-l", "--latest", is_flag=True, help="Show the one that was made last")
@click.option("-n", "--last", type=int, default=-1, metavar="NUMBER", help="Show so many that were made last")
@click.option("-q", "--quiet", is_flag=True, help="Show ids alone")
@click.option("-s", "--size", "has_size", is_flag=True, help="Show what they have written")
@no_trunc_option
@filter_option
@format_option
@click.pass_obj
def command(
    session: Session,
    *,
    is_all: bool,
    latest: bool,
    last: int,
    quiet: bool,
    has_size: bool,
    no_trunc: bool,
    filters: Sequence[str],
    form: str | None,
) -> None:
    from lstore.engine.containers.list import ContainerQuery, select, size_on_disk

    most = 1 if latest else last if last >= 0 else None
    engine = session.engine()
    found = select(engine, ContainerQuery(is_all, most, parse_filters(filters)))
    if quiet and form is None:
        session.lines(each.config.id if no_trunc else each.short_id for each in found)
        return
    now = session.now()
    needs_size = has_size or (form is not None and ".Size" in form)
    sizes = [human_size(size_on_disk(engine, each), 3) if needs_size else "" for each in found]
    rows = (_row(each, size, now, no_trunc=no_trunc) for each, size in zip(found, sizes, strict=True))
    columns = Columns(_HEADINGS, (*_SHOWN, "Size") if has_size else _SHOWN)
    session.lines(list_lines(rows, columns, form))


def _row(container: "Container", size: str, now: datetime, *, no_trunc: bool) -> Row:
    from lstore.engine.containers.list import shown_status
    from runner.container import rfc3339

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


def _status(container: "Container", now: datetime) -> str:
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
