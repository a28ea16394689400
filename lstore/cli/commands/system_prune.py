"""``lstore system prune``."""

from collections.abc import Sequence

import click

from lstore.cli.options import yes_option
from lstore.cli.parsing import verb
from lstore.cli.pruning import (
    Choice,
    all_option,
    filter_option,
    keep_storage_option,
    show_pruned,
    unused_for_option,
)
from lstore.cli.session import Session
from lstore.cli.verbs import SYSTEM_PRUNE


@verb(SYSTEM_PRUNE)
@all_option
@yes_option
@filter_option
@unused_for_option
@keep_storage_option
@click.pass_obj
def command(
    session: Session,
    *,
    is_all: bool,
    force: bool,
    filters: Sequence[str],
    unused_for: str | None,
    keep_storage: str | None,
) -> None:
    from lstore.engine.prune import prune

    choice = Choice(is_all, filters, unused_for, keep_storage)
    request = choice.request(session)
    warning = f"WARNING! This will remove:\n  - all {choice.kind}\n  - partial downloads and whatever nothing needs\n"
    if force or session.confirm(warning):
        show_pruned(session, prune(session.engine(), request, session.now(), with_ingests=True))
