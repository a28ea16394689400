"""``lstore exec``, ``lstore container exec``."""

from collections.abc import Sequence

import click

from lstore.cli.container_name import CONTAINER_NAME
from lstore.cli.flags import Given
from lstore.cli.parsing import flags, verb
from lstore.cli.process_flags import EXEC_FLAGS
from lstore.cli.session import Session
from lstore.cli.verbs import EXEC


@verb(EXEC, stops_at_arguments=True)
@click.argument("name", metavar="CONTAINER", type=CONTAINER_NAME)
@click.argument("words", metavar="COMMAND [ARG...]", nargs=-1, required=True)
@flags(*EXEC_FLAGS)
@click.pass_obj
def command(session: Session, /, *, name: str, words: Sequence[str], **options: object) -> int:
    from lstore.cli.actions.exec import act

    return act(session, Given(options), (name, *words))
