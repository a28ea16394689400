"""``lstore top``, ``lstore container top``."""

from collections.abc import Sequence

import click

from lstore.cli.container_name import CONTAINER_NAME
from lstore.cli.parsing import verb
from lstore.cli.session import Session
from lstore.cli.table import align
from lstore.cli.verbs import TOP


@verb(TOP, stops_at_arguments=True)
@click.argument("name", metavar="CONTAINER", type=CONTAINER_NAME)
@click.argument("options", metavar="[PS-OPTION...]", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def command(session: Session, *, name: str, options: Sequence[str]) -> None:
    from lstore.engine.containers.processes import top

    table = top(session.engine(), name, options)
    session.lines(align(["\t".join(row) for row in (table.titles, *table.rows)]))
