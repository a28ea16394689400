"""``lstore logs``, ``lstore container logs``."""

import click

from layerstore.errors import UsageError
from lstore.cli.container_name import CONTAINER_NAME
from lstore.cli.moments import parse_moment
from lstore.cli.options import since_option
from lstore.cli.parsing import verb
from lstore.cli.session import Session
from lstore.cli.verbs import LOGS

_EVERYTHING = "all"


@verb(LOGS)
@click.argument("name", metavar="CONTAINER", type=CONTAINER_NAME)
@click.option("-f", "--follow", is_flag=True, help="Go on until the container ends")
@since_option
@click.option("--until", metavar="TIME", help="Before then")
@click.option(
    "-n", "--tail", metavar="NUMBER", default=_EVERYTHING, help="Show only the last lines, this many"
)
@click.option("-t", "--timestamps", is_flag=True, help="Show when each line came")
@click.pass_obj
def command(
    session: Session,
    *,
    name: str,
    follow: bool,
    since: str | None,
    until: str | None,
    tail: str,
    timestamps: bool,
) -> None:
    from lstore.engine.containers.logs import LogQuery, read

    now = session.now()
    query = LogQuery(
        since="" if since is None else parse_moment(since, now),
        until="" if until is None else parse_moment(until, now),
        tail=_count(tail),
        follows=follow,
    )
    for line in read(session.engine(), name, query):
        stream = session.streams.err if line.stream == "stderr" else session.streams.out
        stream.write(f"{line.time} {line.text}" if timestamps else line.text)
        if follow:
            stream.flush()


def _count(text: str) -> int | None:
    """How many lines of the end; None for all, which a negative number means, too. Raises `UsageError`."""
    digits = text.removeprefix("-")
    if text == _EVERYTHING:
        return None
    if not digits.isascii() or not digits.isdigit():
        raise UsageError(f"invalid number of lines {text[:40]!r}", hint="lstore logs --tail 100 …")
    return int(text) if digits == text else None
