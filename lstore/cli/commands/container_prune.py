"""``lstore container prune``."""

from collections.abc import Sequence

import click

from lstore.cli.filters import parse_filters
from lstore.cli.moments import parse_moment
from lstore.cli.options import yes_option
from lstore.cli.parsing import verb
from lstore.cli.session import Session
from lstore.cli.units import human_size
from lstore.cli.verbs import PRUNE_CONTAINERS

_WARNING = "WARNING! This will remove all stopped containers."


@verb(PRUNE_CONTAINERS)
@yes_option
@click.option(
    "--filter", "filters", multiple=True, metavar="FILTER", help="Remove only what passes KEY=VALUE"
)
@click.pass_obj
def command(session: Session, *, force: bool, filters: Sequence[str]) -> None:
    from lstore.engine.containers.prune import prune_containers

    chosen = dict(parse_filters(filters))
    until = min((parse_moment(text, session.now()) for text in chosen.pop("until", ())), default="")
    if not force and not session.confirm(_WARNING):
        return
    pruned = prune_containers(session.engine(), until=until, filters=chosen)
    if pruned.ids:
        session.line("Deleted Containers:")
        session.lines(pruned.ids)
        session.line()
    session.line(f"Total reclaimed space: {human_size(pruned.size)}")
