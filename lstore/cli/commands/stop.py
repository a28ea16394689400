"""``lstore stop``, ``lstore container stop``."""

import click

from lstore.cli.containers import for_each
from lstore.cli.ending_options import Ending, ending_options
from lstore.cli.parsing import verb
from lstore.cli.session import Session
from lstore.cli.verbs import STOP


@verb(STOP)
@click.pass_obj
@ending_options
def command(session: Session, *, ending: Ending) -> int:
    from lstore.engine.containers.ending import stop

    engine = session.engine()
    return for_each(
        session,
        ending.names,
        lambda name: stop(engine, name, number=ending.number, timeout=ending.timeout),
    )
