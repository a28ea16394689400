"""``lstore system prune``."""

from collections.abc import Sequence

import click

from lstore.cli.options import long_filter_option, parse_filters, yes_option
from lstore.cli.parsing import verb
from lstore.cli.pruning import show_pruned
from lstore.cli.session import Session
from lstore.cli.verbs import SYSTEM_PRUNE


@verb(SYSTEM_PRUNE)
@click.option("-a", "--all", "is_all", is_flag=True, help="Remove all unused images, not just nameless ones")
@yes_option
@long_filter_option
@click.pass_obj
def command(session: Session, *, is_all: bool, force: bool, filters: Sequence[str]) -> None:
    from lstore.engine.prune import Wanted, prune_system

    wanted = Wanted(is_all, parse_filters(filters))
    kind = "images without at least one container associated to them" if is_all else "dangling images"
    warning = (
        f"WARNING! This will remove:\n  - all {kind}\n  - partial downloads and whatever nothing needs\n"
    )
    if force or session.confirm(warning):
        show_pruned(session, prune_system(session.engine(), wanted, session.now()))
