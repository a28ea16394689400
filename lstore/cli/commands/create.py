"""``lstore create``, ``lstore container create``."""

from collections.abc import Sequence

import click

from lstore.cli.container_flags import CREATE_FLAGS, request_of
from lstore.cli.containers import ExitsAsRun, write_cidfile
from lstore.cli.flags import Given
from lstore.cli.image_name import IMAGE_NAME
from lstore.cli.parsing import flags, verb
from lstore.cli.session import Session
from lstore.cli.verbs import CREATE


@verb(CREATE, stops_at_arguments=True)
@click.argument("image", metavar="IMAGE", type=IMAGE_NAME)
@click.argument("words", metavar="[COMMAND] [ARG...]", nargs=-1)
@flags(*CREATE_FLAGS)
@click.pass_obj
def command(session: Session, /, *, image: str, words: Sequence[str], **options: object) -> None:
    """Start it with lstore start."""
    from lstore.engine.containers.create import begin

    given = Given(options)
    with ExitsAsRun():
        request = request_of(given, image, words, session.settings.environment, is_detached=False)
        with session.progress(is_quiet=given.is_on("quiet")) as progress:
            made = begin(session.engine(), request, progress)
        with made:
            write_cidfile(given.text("cidfile"), made.config.id)
            made.keep()
    session.line(made.config.id)
