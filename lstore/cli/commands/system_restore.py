"""``lstore system restore``."""

import click

from lstore.cli.parsing import verb
from lstore.cli.session import Session
from lstore.cli.verbs import SYSTEM_RESTORE


@verb(SYSTEM_RESTORE)
@click.pass_obj
def command(session: Session) -> int:
    """For the start of the machine. What killed processes left is cleared up, too."""
    from lstore.engine.containers.prune import restore

    restored = restore(session.engine())
    session.lines(restored.names)
    return session.failed(restored.failures)
