"""``lstore start``, ``lstore container start``."""

from collections.abc import Sequence

import click

from layerstore.errors import UsageError
from lstore.cli.container_flags import SIG_PROXY
from lstore.cli.container_name import CONTAINER_NAME
from lstore.cli.containers import for_each
from lstore.cli.flags import Given
from lstore.cli.joining import joining_of
from lstore.cli.parsing import flags, verb
from lstore.cli.process_flags import DETACH_KEYS
from lstore.cli.session import Session
from lstore.cli.verbs import START


@verb(START)
@click.argument("names", metavar="CONTAINER...", nargs=-1, required=True, type=CONTAINER_NAME)
@click.option(
    "-a", "--attach", is_flag=True, help="Show its output, pass signals on, and end with its exit status"
)
@click.option("-i", "--interactive", is_flag=True, help="Pass our standard input on, too")
@flags(DETACH_KEYS, SIG_PROXY)
@click.pass_obj
def command(
    session: Session, /, *, names: Sequence[str], attach: bool, interactive: bool, **options: object
) -> int:
    from lstore.engine.containers.attach import start_attached
    from lstore.engine.containers.start import start

    engine = session.engine()
    if not attach and not interactive:
        return for_each(session, names, lambda name: start(engine, name))
    if len(names) != 1:
        raise UsageError("cannot attach to several containers at once")
    return start_attached(engine, names[0], joining_of(Given(options), sends_input=interactive)) or 0
