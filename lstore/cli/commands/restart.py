"""``lstore restart``, ``lstore container restart``."""

import click

from lstore.cli.ending_options import Ending, ending_options
from lstore.cli.parsing import verb
from lstore.cli.session import Session
from lstore.cli.verbs import RESTART


@verb(RESTART)
@click.pass_obj
@ending_options
def command(session: Session, *, ending: Ending) -> int:
    from lstore.engine.containers.ending import restart

    return ending.carry_out(session, restart)
