"""``lstore builder import``."""

from contextlib import nullcontext

import click

from layerstore.errors import UsageError, file_error
from lstore.cli.parsing import verb
from lstore.cli.session import Session
from lstore.cli.verbs import BUILDER_IMPORT


@verb(BUILDER_IMPORT)
@click.option("-i", "--input", "source", metavar="FILE", help="The archive; else standard input")
@click.pass_obj
def command(session: Session, *, source: str | None) -> None:
    """What is here already stays as it is."""
    from lstore.engine.build.cache_archive import import_caches

    if source is None and session.streams.stdin.isatty():
        raise UsageError("cannot import from a terminal", hint="lstore builder import -i FILE")
    try:
        opened = nullcontext(session.streams.stdin) if source is None else open(source, "rb")  # noqa: SIM115
    except OSError as error:
        raise file_error(error, f"read {source}") from error
    with opened as stream:
        fresh, here = import_caches(session.engine(), stream)
    for each in fresh:
        session.line(each)
    for each in here:
        session.line(f"{each}: is here already")
