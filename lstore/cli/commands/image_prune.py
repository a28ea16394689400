"""``lstore image prune``."""

from collections.abc import Sequence

import click

from lstore.cli.options import long_filter_option, parse_filters, yes_option
from lstore.cli.parsing import verb
from lstore.cli.pruning import show_pruned
from lstore.cli.session import Session
from lstore.cli.verbs import PRUNE_IMAGES


@verb(PRUNE_IMAGES)
@click.option("-a", "--all", "is_all", is_flag=True, help="Remove all unused images, not just nameless ones")
@yes_option
@long_filter_option
@click.pass_obj
def command(session: Session, *, is_all: bool, force: bool, filters: Sequence[str]) -> None:
    from lstore.engine.prune import Wanted, prune_images

    wanted = Wanted(is_all, parse_filters(filters))
    kind = "images without at least one container associated to them" if is_all else "dangling images"
    if force or session.confirm(f"WARNING! This will remove all {kind}."):
        show_pruned(session, prune_images(session.engine(), wanted, session.now()))
