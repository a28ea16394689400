"""``lstore rm``, ``lstore container rm``."""

from collections.abc import Sequence

import click

from layerstore.errors import NotFound
from lstore.cli.container_name import CONTAINER_NAME
from lstore.cli.containers import for_each
from lstore.cli.parsing import verb
from lstore.cli.session import Session
from lstore.cli.verbs import RM


@verb(RM)
@click.argument("names", metavar="CONTAINER...", nargs=-1, required=True, type=CONTAINER_NAME)
@click.option("-f", "--force", is_flag=True, help="Kill running containers; it is no failure if one is gone")
@click.option(
    "-v",
    "--volumes",
    is_flag=True,
    help="Remove anonymous volumes, too; accepted for docker's sake, there are none",
)
@click.pass_obj
def command(session: Session, *, names: Sequence[str], force: bool, volumes: bool) -> int:
    from lstore.engine.containers.remove import remove

    engine = session.engine()

    def act(name: str) -> None:
        try:
            remove(engine, name, force=force)
        except NotFound:
            if not force:
                raise

    return for_each(session, names, act)
