"""``lstore rmi``, ``lstore image rm``."""

from collections.abc import Sequence

import click

from lstore.cli.actions.rmi import FLAGS, act
from lstore.cli.flags import Given
from lstore.cli.image_name import IMAGE_NAME
from lstore.cli.parsing import flags, verb
from lstore.cli.session import Session
from lstore.cli.verbs import RMI


@verb(RMI)
@click.argument("images", metavar="IMAGE...", type=IMAGE_NAME, nargs=-1, required=True)
@flags(*FLAGS)
@click.pass_obj
def command(session: Session, /, *, images: Sequence[str], **options: object) -> int:
    return act(session, Given(options), images)
