"""``lstore builder du``."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from lstore.cli.format import Columns, list_lines
from lstore.cli.options import format_option
from lstore.cli.parsing import verb
from lstore.cli.session import Session
from lstore.cli.template.nodes import Row
from lstore.cli.units import human_duration, human_size
from lstore.cli.verbs import BUILDER_DU

if TYPE_CHECKING:
    from lstore.engine.build.prune import CacheItem

_COLUMNS = {
    "ID": "ID",
    "Reclaimable": "RECLAIMABLE",
    "Size": "SIZE",
    "LastUsed": "LAST ACCESSED",
    "Description": "DESCRIPTION",
    "Type": "TYPE",
    "Shared": "SHARED",
    "Bytes": "BYTES",
}
_SHOWN = ("ID", "Reclaimable", "Size", "LastUsed", "Description")


@verb(BUILDER_DU)
@format_option
@click.pass_obj
def command(session: Session, *, form: str | None) -> None:
    from lstore.engine.build.prune import usage

    now = session.now()
    items = usage(session.engine())
    session.lines(list_lines([_row(item, now) for item in items], Columns(_COLUMNS, _SHOWN), form))
    if form is None:
        reclaimable = sum(item.size for item in items if not item.is_shared)
        session.line(f"Reclaimable:\t{human_size(reclaimable)}")
        session.line(f"Total:\t\t{human_size(sum(item.size for item in items))}")


def _row(item: "CacheItem", now: datetime) -> Row:
    age = now - datetime.fromtimestamp(item.last_used, UTC)
    return {
        "Bytes": item.size,
        "Description": item.title,
        "ID": item.id,
        "LastUsed": f"{human_duration(age)} ago",
        "Reclaimable": "false" if item.is_shared else "true",
        "Shared": "true" if item.is_shared else "false",
        "Size": human_size(item.size),
        "Type": "exec.cachemount" if item.is_mount else "regular",
    }
