"""``lstore builder export``."""

from collections.abc import Sequence
from contextlib import nullcontext

import click

from lstore.cli.parsing import verb
from lstore.cli.session import Session, refuse_terminal
from lstore.cli.verbs import BUILDER_EXPORT
from lstore.engine.output_file import output_file


@verb(BUILDER_EXPORT)
@click.argument("ids", metavar="[ID...]", nargs=-1)
@click.option("-o", "--output", metavar="FILE", help="Where to write, instead of standard output")
@click.pass_obj
def command(session: Session, *, ids: Sequence[str], output: str | None) -> None:
    """All of them, or those that are named as builder du shows them. What a step uses at the moment is left out."""
    from lstore.engine.build.cache_archive import export_caches

    if output is None:
        refuse_terminal(session, "write an archive")
    opened = nullcontext(session.streams.out.binary) if output is None else output_file(output)
    with opened as stream:
        busy = export_caches(session.engine(), stream, ids)
    for each in busy:
        session.streams.err.line(f"left out {each}: a build uses it")
