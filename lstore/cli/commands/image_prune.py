"""``lstore image prune``."""

import click

from lstore.cli.parsing import verb
from lstore.cli.pruning import Choice, choice_options, show_pruned
from lstore.cli.session import Session
from lstore.cli.verbs import PRUNE_IMAGES


@verb(PRUNE_IMAGES)
@choice_options
@click.pass_obj
def command(session: Session, *, choice: Choice, force: bool) -> None:
    from lstore.engine.prune import prune

    request = choice.request(session)
    warning = f"WARNING! This will remove all {choice.kind}."
    if force or session.confirm(warning):
        show_pruned(session, prune(session.engine(), request, session.now(), with_ingests=False))
