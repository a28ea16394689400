"""``lstore run``, ``lstore container run``."""

from collections.abc import Sequence

import click

from lstore.cli.container_flags import RUN_FLAGS, request_of
from lstore.cli.containers import exits_as_run, joining_of, refuse_pipe, write_cidfile
from lstore.cli.flags import Given
from lstore.cli.image_name import IMAGE_NAME
from lstore.cli.parsing import flags, verb
from lstore.cli.session import Session
from lstore.cli.verbs import RUN


@verb(RUN, stops_at_arguments=True)
@click.argument("image", metavar="IMAGE", type=IMAGE_NAME)
@click.argument("words", metavar="[COMMAND] [ARG...]", nargs=-1)
@flags(*RUN_FLAGS)
@click.pass_obj
def command(session: Session, /, *, image: str, words: Sequence[str], **options: object) -> int:
    from lstore.engine.containers.attach import run
    from lstore.engine.containers.create import begin

    given = Given(options)
    is_detached = given.is_on("detach")
    with exits_as_run():
        request = request_of(given, image, words, session.settings.environment, is_detached=is_detached)
        joining = joining_of(given, sends_input=request.has_input)
        if request.has_terminal and request.has_input and not is_detached:
            refuse_pipe()
        engine = session.engine()
        with session.progress(is_quiet=given.is_on("quiet")) as progress:
            made = begin(engine, request, progress)
        with made:
            write_cidfile(given.text("cidfile"), made.config.id)
            status = run(engine, made, None if is_detached else joining)
    if is_detached:
        session.line(made.config.id)
    return status or 0
