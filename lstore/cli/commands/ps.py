"""``lstore ps``, ``lstore container ls``."""

import click

from lstore.cli.actions.ps import FLAGS, act
from lstore.cli.flags import Given
from lstore.cli.parsing import flags, verb
from lstore.cli.session import Session
from lstore.cli.verbs import PS


@verb(PS)
@flags(*FLAGS)
@click.pass_obj
def command(session: Session, /, **options: object) -> int:
    return act(session, Given(options), ())
