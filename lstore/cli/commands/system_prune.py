"""``lstore system prune``."""

import click

from lstore.cli.parsing import verb
from lstore.cli.pruning import Choice, choice_options, show_pruned
from lstore.cli.session import Session
from lstore.cli.verbs import SYSTEM_PRUNE

_WARNING = """\
WARNING! This will remove:
  - all stopped containers
  - all {images}
  - partial downloads and whatever nothing needs
"""


@verb(SYSTEM_PRUNE)
@choice_options
@click.pass_obj
def command(session: Session, *, choice: Choice, force: bool) -> None:
    from lstore.engine.prune import prune_system

    request = choice.request(session)
    if force or session.confirm(_WARNING.format(images=choice.kind)):
        show_pruned(session, prune_system(session.engine(), request, session.now()))
