"""``lstore system restore``."""

import click

from lstore.cli.parsing import verb
from lstore.cli.session import Session
from lstore.cli.verbs import SYSTEM_RESTORE


@verb(SYSTEM_RESTORE)
@click.pass_obj
def command(session: Session) -> int:
    """Meant for the start of the machine: `lstore system service` prints a unit that runs it."""
    from lstore.engine.containers.prune import restore

    restored = restore(session.engine())
    session.lines(restored.names)
    return session.failed(restored.failures)
