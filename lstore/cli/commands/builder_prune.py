"""``lstore builder prune``."""

import click

from lstore.cli.options import yes_option
from lstore.cli.parsing import verb
from lstore.cli.pruning import keep_storage_option, unused_for_option
from lstore.cli.session import Session
from lstore.cli.units import human_size, parse_size
from lstore.cli.verbs import BUILDER_PRUNE


@verb(BUILDER_PRUNE)
@click.option("-a", "--all", "is_all", is_flag=True, help="Remove the caches of RUN --mount=type=cache, too")
@yes_option
@unused_for_option
@keep_storage_option
@click.pass_obj
def command(
    session: Session, *, is_all: bool, force: bool, unused_for: str | None, keep_storage: str | None
) -> None:
    """Images keep the layers that they have; what goes is found again only by carrying it out."""
    from lstore.engine.build.prune import CachePruneRequest, prune
    from lstore.engine.images import parse_moment

    request = CachePruneRequest(
        unused_since=parse_moment(unused_for, session.now()).timestamp() if unused_for is not None else None,
        keep_size=parse_size(keep_storage) if keep_storage is not None else None,
        with_mounts=is_all,
    )
    if not force and not session.confirm("WARNING! This will remove finished build steps."):
        return
    items, freed = prune(session.engine(), request)
    for item in items:
        session.line(f"{item.id}\t{human_size(item.size)}\t{item.title}")
    session.line(f"Total:\t{human_size(freed)}")
