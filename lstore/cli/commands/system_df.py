"""``lstore system df``."""

from datetime import datetime
from typing import TYPE_CHECKING

import click

from layerstore.errors import UsageError
from lstore.cli.format import Columns, list_lines
from lstore.cli.options import format_option
from lstore.cli.parsing import verb
from lstore.cli.session import Session
from lstore.cli.template.nodes import Row
from lstore.cli.units import age, human_size
from lstore.cli.verbs import SYSTEM_DF

if TYPE_CHECKING:
    from lstore.engine.df import ImageUsage, Kind

_SHOWN = ("Type", "TotalCount", "Active", "Size", "Reclaimable")
_KINDS = {
    "Type": "TYPE",
    "TotalCount": "TOTAL",
    "Active": "ACTIVE",
    "Size": "SIZE",
    "Reclaimable": "RECLAIMABLE",
    "Bytes": "BYTES",
}
_IMAGES = {
    "Repository": "REPOSITORY",
    "Tag": "TAG",
    "ID": "IMAGE ID",
    "CreatedSince": "CREATED",
    "Size": "SIZE",
    "SharedSize": "SHARED SIZE",
    "UniqueSize": "UNIQUE SIZE",
    "Containers": "CONTAINERS",
}


@verb(SYSTEM_DF)
@click.option("-v", "--verbose", is_flag=True, help="Show each image")
@format_option
@click.pass_obj
def command(session: Session, *, verbose: bool, form: str | None) -> None:
    from lstore.engine.df import disk_usage

    if verbose and form is not None:
        raise UsageError("--verbose and --format contradict each other")
    usage = disk_usage(session.engine())
    session.lines(list_lines(map(_kind_row, usage.kinds), Columns(_KINDS, _SHOWN), form))
    if verbose:
        now = session.now()
        rows = [_image_row(each, now) for each in usage.images]
        session.lines(["", "Images space usage:", ""])
        session.lines(list_lines(rows, Columns(_IMAGES, tuple(_IMAGES)), None))


def _kind_row(kind: "Kind") -> Row:
    share = f" ({100 * kind.reclaimable // kind.size}%)" if kind.size else ""
    return {
        "Active": str(kind.active),
        "Bytes": kind.size,
        "Reclaimable": human_size(kind.reclaimable) + share,
        "Size": human_size(kind.size),
        "TotalCount": str(kind.total),
        "Type": kind.name,
    }


def _image_row(usage: "ImageUsage", now: datetime) -> Row:
    name = next(iter(usage.image.names), None)
    return {
        "Containers": str(usage.containers),
        "CreatedSince": age(usage.image.created, now),
        "ID": usage.image.id.short,
        "Repository": name.familiar_name if name is not None else "<none>",
        "SharedSize": human_size(usage.shared),
        "Size": human_size(usage.shared + usage.unique),
        "Tag": (name.tag if name is not None else None) or "<none>",
        "UniqueSize": human_size(usage.unique),
    }
