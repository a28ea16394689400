"""``lstore stats``, ``lstore container stats``."""

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import click

from lstore.cli.container_name import CONTAINER_NAME
from lstore.cli.format import Columns, list_lines
from lstore.cli.options import format_option, no_trunc_option
from lstore.cli.parsing import verb
from lstore.cli.session import Session
from lstore.cli.template.nodes import Row
from lstore.cli.units import human_binary_size, human_size
from lstore.cli.verbs import STATS

if TYPE_CHECKING:
    from lstore.engine.engine import Engine
    from lstore.engine.stats import Sample

_COLUMNS = Columns(
    {
        "ID": "CONTAINER ID",
        "Name": "NAME",
        "CPUPerc": "CPU %",
        "MemUsage": "MEM USAGE / LIMIT",
        "MemPerc": "MEM %",
        "NetIO": "NET I/O",
        "BlockIO": "BLOCK I/O",
        "PIDs": "PIDS",
        "Container": "CONTAINER",
    },
    ("ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs"),
)
_INTERVAL = 1.0


@verb(STATS)
@click.argument("names", metavar="[CONTAINER...]", nargs=-1, type=CONTAINER_NAME)
@click.option("-a", "--all", "is_all", is_flag=True, help="Show stopped containers, too")
@click.option("--no-stream", is_flag=True, help="Show one measurement, and end")
@no_trunc_option
@format_option
@click.pass_obj
def command(
    session: Session, *, names: Sequence[str], is_all: bool, no_stream: bool, no_trunc: bool, form: str | None
) -> None:
    """A table that is renewed each second on a terminal; elsewhere, one measurement after the other."""
    measured = _measurements(session.engine(), names, is_all=is_all)
    tables = (list(list_lines(_rows(pairs, no_trunc=no_trunc), _COLUMNS, form)) for pairs in measured)
    if no_stream:
        session.lines(next(tables))
    elif session.streams.out.is_terminal and form is None:
        _show_live(session, tables)
    else:
        for table in tables:
            session.lines(table)
            session.streams.out.flush()


def _measurements(
    engine: "Engine", names: Sequence[str], *, is_all: bool
) -> Iterator[list[tuple["Sample", "Sample"]]]:
    """For ever: each container's last two looks, a second apart."""
    from lstore.engine.stats import containers, sample

    before = {each.config.id: sample(each) for each in containers(engine, names, is_all=is_all)}
    while True:
        time.sleep(_INTERVAL)
        after = {each.config.id: sample(each) for each in containers(engine, names, is_all=is_all)}
        yield [(before.get(identifier, now), now) for identifier, now in after.items()]
        before = after


def _rows(pairs: Iterable[tuple["Sample", "Sample"]], *, no_trunc: bool) -> Iterator[Row]:
    from lstore.engine.stats import memory_limit, processor_share

    for before, now in pairs:
        config, usage = now.container.config, now.usage
        limit = memory_limit(usage) if now.container.state.is_alive else 0
        yield {
            "ID": config.id if no_trunc else now.container.short_id,
            "Container": config.name,
            "Name": config.name,
            "CPUPerc": f"{processor_share(before, now) * 100:.2f}%",
            "MemUsage": f"{human_binary_size(usage.memory)} / {human_binary_size(limit)}",
            "MemPerc": f"{usage.memory / limit * 100 if limit else 0:.2f}%",
            "NetIO": f"{human_size(now.received, 3)} / {human_size(now.sent, 3)}",
            "BlockIO": f"{human_size(usage.read, 3)} / {human_size(usage.written, 3)}",
            "PIDs": str(usage.processes),
        }


def _show_live(session: Session, tables: Iterable[list[str]]) -> None:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console(file=session.streams.out.text)
    with Live(console=console, auto_refresh=False, screen=True) as live:
        for table in tables:
            live.update(Text("\n".join(table), no_wrap=True), refresh=True)
