"""``lstore images``, ``lstore image ls``."""

import click

from lstore.cli.actions.images import FLAGS, act
from lstore.cli.flags import Given
from lstore.cli.parsing import flags, verb
from lstore.cli.session import Session
from lstore.cli.verbs import IMAGES


@verb(IMAGES)
@click.argument("pattern", metavar="[REPOSITORY[:TAG]]", required=False)
@flags(*FLAGS)
@click.pass_obj
def command(session: Session, /, *, pattern: str | None, **options: object) -> int:
    return act(session, Given(options), () if pattern is None else (pattern,))
