"""``lstore pull``."""

import click

from lstore.cli.actions.pull import FLAGS, act
from lstore.cli.flags import Given
from lstore.cli.image_name import IMAGE_NAME
from lstore.cli.parsing import flags, verb
from lstore.cli.session import Session
from lstore.cli.verbs import PULL


@verb(PULL)
@click.argument("name", metavar="NAME[:TAG|@DIGEST]", type=IMAGE_NAME)
@flags(*FLAGS)
@click.pass_obj
def command(session: Session, /, *, name: str, **options: object) -> int:
    return act(session, Given(options), (name,))
