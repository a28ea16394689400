"""``lstore port``, ``lstore container port``."""

import click

from layerstore.errors import NotFound
from lstore.cli.container_name import CONTAINER_NAME
from lstore.cli.parsing import verb
from lstore.cli.session import Session
from lstore.cli.verbs import PORT


@verb(PORT)
@click.argument("name", metavar="CONTAINER", type=CONTAINER_NAME)
@click.argument("port", metavar="[PORT[/PROTOCOL]]", default="")
@click.pass_obj
def command(session: Session, *, name: str, port: str) -> None:
    """There are none: a container has no network, or the host's."""
    from lstore.engine.containers.look import look

    container = look(session.engine(), name)
    if port:
        raise NotFound(f"no public port {port!r} published for {container.config.name}")
