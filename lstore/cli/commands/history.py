"""``lstore history``."""

from datetime import datetime
from typing import TYPE_CHECKING

import click

from lstore.cli.format import Columns, list_lines
from lstore.cli.image_name import IMAGE_NAME
from lstore.cli.options import format_option, no_trunc_option
from lstore.cli.parsing import verb
from lstore.cli.session import Session
from lstore.cli.table import shortened
from lstore.cli.template.nodes import Row
from lstore.cli.units import age, human_size, timestamp
from lstore.cli.verbs import HISTORY

if TYPE_CHECKING:
    from lstore.engine.history import Step

_MISSING = "<missing>"
_COMMAND_WIDTH = 45
_HEADINGS = {
    "ID": "IMAGE",
    "CreatedSince": "CREATED",
    "CreatedAt": "CREATED AT",
    "CreatedBy": "CREATED BY",
    "Size": "SIZE",
    "Comment": "COMMENT",
}
_SHOWN = ("ID", "CreatedSince", "CreatedBy", "Size", "Comment")
_SHOWN_EXACT = ("ID", "CreatedAt", "CreatedBy", "Size", "Comment")


@verb(HISTORY)
@click.argument("image", metavar="IMAGE", type=IMAGE_NAME)
@click.option("-H", "--human/--no-human", default=True, help="Show sizes and ages for people")
@click.option("-q", "--quiet", is_flag=True, help="Show image IDs alone")
@format_option
@no_trunc_option
@click.pass_obj
def command(
    session: Session, *, image: str, human: bool, quiet: bool, form: str | None, no_trunc: bool
) -> None:
    from lstore.engine.history import image_history

    steps = image_history(session.engine().store, image)
    if quiet:
        session.lines(_id(step, no_trunc=no_trunc) for step in steps)
        return
    now = session.now()
    rows = (_row(step, now, human=human, no_trunc=no_trunc) for step in steps)
    session.lines(list_lines(rows, Columns(_HEADINGS, _SHOWN if human else _SHOWN_EXACT), form))


def _id(step: "Step", *, no_trunc: bool) -> str:
    if step.image_id is None:
        return _MISSING
    return str(step.image_id) if no_trunc else step.image_id.short


def _row(step: "Step", now: datetime, *, human: bool, no_trunc: bool) -> Row:
    created_by = step.created_by.replace("\t", " ").replace("\n", " ")
    return {
        "Comment": step.comment,
        "CreatedAt": timestamp(step.created),
        "CreatedBy": created_by if no_trunc else shortened(created_by, _COMMAND_WIDTH),
        "CreatedSince": age(step.created, now),
        "ID": _id(step, no_trunc=no_trunc),
        "Size": human_size(step.size, 3) if human else str(step.size),
    }
