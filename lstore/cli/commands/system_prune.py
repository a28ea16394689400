"""``lstore system prune``."""

import click

from lstore.cli.parsing import verb
from lstore.cli.pruning import Choice, choice_options, show_pruned
from lstore.cli.session import Session
from lstore.cli.verbs import SYSTEM_PRUNE


@verb(SYSTEM_PRUNE)
@choice_options
@click.pass_obj
def command(session: Session, *, choice: Choice, force: bool) -> None:
    from lstore.engine.prune import prune

    request = choice.request(session)
    warning = f"WARNING! This will remove:\n  - all {choice.kind}\n  - partial downloads and whatever nothing needs\n"
    if force or session.confirm(warning):
        show_pruned(session, prune(session.engine(), request, session.now(), with_ingests=True))
