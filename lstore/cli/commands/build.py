"""``lstore build``."""

import click

from lstore.cli.actions.build import FLAGS, act
from lstore.cli.flags import Given
from lstore.cli.parsing import flags, verb
from lstore.cli.session import Session
from lstore.cli.verbs import BUILD


@verb(BUILD)
@click.argument("context", metavar="PATH|URL|-")
@flags(*FLAGS)
@click.pass_obj
def command(session: Session, /, *, context: str, **options: object) -> int:
    """The image is made of the Dockerfile's steps; those that were carried out before are not again."""
    return act(session, Given(options), (context,))
