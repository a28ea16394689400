"""``lstore export``, ``lstore container export``."""

from contextlib import nullcontext

import click

from lstore.cli.container_name import CONTAINER_NAME
from lstore.cli.parsing import verb
from lstore.cli.session import Session, refuse_terminal
from lstore.cli.verbs import EXPORT
from lstore.engine.output_file import output_file


@verb(EXPORT)
@click.argument("name", metavar="CONTAINER", type=CONTAINER_NAME)
@click.option("-o", "--output", metavar="FILE", help="Where to write, instead of standard output")
@click.pass_obj
def command(session: Session, *, name: str, output: str | None) -> None:
    """The archive has neither history nor settings; lstore import makes an image of it."""
    from lstore.engine.containers.export import export

    if output is None:
        refuse_terminal(session, "export")
        session.streams.out.flush()
    opened = nullcontext(session.streams.out.binary) if output is None else output_file(output)
    with opened as stream:
        export(session.engine(), name, stream)
