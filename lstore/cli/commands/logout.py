"""``lstore logout``."""

import click

from lstore.cli.parsing import verb
from lstore.cli.session import Session
from lstore.cli.verbs import LOGOUT


@verb(LOGOUT)
@click.argument("server", metavar="[SERVER]", default="")
@click.pass_obj
def command(session: Session, *, server: str) -> None:
    from lstore.engine.login import logout, registry_name

    registry = registry_name(server)
    if logout(session.engine(), registry):
        session.line(f"Removing login credentials for {registry}")
    else:
        session.line(f"Not logged in to {registry}")
