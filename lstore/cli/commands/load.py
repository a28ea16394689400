"""``lstore load``."""

from typing import TYPE_CHECKING

import click

from layerstore.errors import UsageError
from lstore.cli.parsing import verb
from lstore.cli.session import Session
from lstore.cli.verbs import LOAD

if TYPE_CHECKING:
    from lstore.engine.load import Loaded


@verb(LOAD)
@click.option(
    "-i", "--input", "source", metavar="FILE", help="An archive or layout directory; else standard input"
)
@click.option("-q", "--quiet", is_flag=True, help="Show no progress")
@click.pass_obj
def command(session: Session, *, source: str | None, quiet: bool) -> None:
    from lstore.engine.load import load

    if source is None and session.streams.stdin.isatty():
        raise UsageError("cannot load from a terminal", hint="lstore load -i FILE")
    done: list[Loaded] = []
    try:
        with session.progress(is_quiet=quiet) as progress:
            for loaded in load(session.engine(), source or session.streams.stdin, progress=progress):
                done.append(loaded)
    finally:  # what is loaded stays, whatever came after it; it is told once no bar moves any more
        for loaded in done:
            _show(session, loaded)


def _show(session: Session, loaded: "Loaded") -> None:
    for name in loaded.moved:
        session.line(f"The image {name.familiar} already exists; the old one has lost this name")
    if not loaded.names:
        session.line(f"Loaded image ID: {loaded.id}")
    session.lines(f"Loaded image: {name.familiar}" for name in loaded.names)
