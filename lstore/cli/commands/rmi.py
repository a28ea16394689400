"""``lstore rmi``, ``lstore image rm``."""

from collections.abc import Sequence

import click

from lstore.cli.image_name import IMAGE_NAME
from lstore.cli.parsing import verb
from lstore.cli.session import Session
from lstore.cli.verbs import RMI


@verb(RMI)
@click.argument("images", metavar="IMAGE...", type=IMAGE_NAME, nargs=-1, required=True)
@click.option(
    "-f",
    "--force",
    is_flag=True,
    help="Remove what stopped containers use, and by ID what has names in several repositories",
)
@click.option("--no-prune", is_flag=True, help="Accepted for docker's sake; there are no parents to keep")
@click.pass_obj
def command(session: Session, *, images: Sequence[str], force: bool, no_prune: bool) -> int:
    from lstore.engine.remove import remove_images

    engine = session.engine()
    removal = remove_images(engine.store, engine.snapshotter, images, force=force)
    session.lines(str(event) for event in removal.events)
    return session.failed(removal.failures)
