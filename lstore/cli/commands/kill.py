"""``lstore kill``, ``lstore container kill``."""

from collections.abc import Sequence

import click

from lstore.cli.container_name import CONTAINER_NAME
from lstore.cli.containers import for_each
from lstore.cli.parsing import verb
from lstore.cli.session import Session
from lstore.cli.verbs import KILL


@verb(KILL)
@click.argument("names", metavar="CONTAINER...", nargs=-1, required=True, type=CONTAINER_NAME)
@click.option(
    "-s",
    "--signal",
    "signal_name",
    metavar="SIGNAL",
    default="SIGKILL",
    help="The signal to send, instead of KILL",
)
@click.pass_obj
def command(session: Session, *, names: Sequence[str], signal_name: str) -> int:
    from lstore.engine.containers.ending import kill
    from runner.signals import parse_signal

    engine, number = session.engine(), parse_signal(signal_name)
    return for_each(session, names, lambda name: kill(engine, name, number))
