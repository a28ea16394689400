"""``lstore unpause``, ``lstore container unpause``."""

from collections.abc import Sequence

import click

from lstore.cli.container_name import CONTAINER_NAME
from lstore.cli.containers import for_each
from lstore.cli.parsing import verb
from lstore.cli.session import Session
from lstore.cli.verbs import UNPAUSE


@verb(UNPAUSE)
@click.argument("names", metavar="CONTAINER...", nargs=-1, required=True, type=CONTAINER_NAME)
@click.pass_obj
def command(session: Session, *, names: Sequence[str]) -> int:
    from lstore.engine.containers.freezing import unpause

    engine = session.engine()
    return for_each(session, names, lambda name: unpause(engine, name))
