"""``lstore run``, ``lstore container run``."""

from collections.abc import Sequence

import click

from lstore.cli.container_flags import RUN_FLAGS
from lstore.cli.flags import Given
from lstore.cli.image_name import IMAGE_NAME
from lstore.cli.parsing import flags, verb
from lstore.cli.session import Session
from lstore.cli.verbs import RUN


@verb(RUN, stops_at_arguments=True)
@click.argument("image", metavar="IMAGE", type=IMAGE_NAME)
@click.argument("words", metavar="[COMMAND] [ARG...]", nargs=-1)
@flags(*RUN_FLAGS)
@click.pass_obj
def command(session: Session, /, *, image: str, words: Sequence[str], **options: object) -> int:
    from lstore.cli.actions.run import act

    return act(session, Given(options), (image, *words))
