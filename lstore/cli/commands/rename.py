"""``lstore rename``, ``lstore container rename``."""

import click

from lstore.cli.container_name import CONTAINER_NAME
from lstore.cli.parsing import verb
from lstore.cli.session import Session
from lstore.cli.verbs import RENAME


@verb(RENAME)
@click.argument("name", metavar="CONTAINER", type=CONTAINER_NAME)
@click.argument("new_name", metavar="NEW_NAME")
@click.pass_obj
def command(session: Session, *, name: str, new_name: str) -> None:
    from lstore.engine.containers.remove import rename

    rename(session.engine(), name, new_name)
