"""``lstore stop``, ``lstore container stop``."""

import click

from lstore.cli.ending_options import Ending, ending_options
from lstore.cli.parsing import verb
from lstore.cli.session import Session
from lstore.cli.verbs import STOP


@verb(STOP)
@click.pass_obj
@ending_options
def command(session: Session, *, ending: Ending) -> int:
    from lstore.engine.containers.ending import stop

    return ending.carry_out(session, stop)
