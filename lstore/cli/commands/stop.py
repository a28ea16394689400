"""``lstore stop``, ``lstore container stop``."""

from collections.abc import Sequence

import click

from lstore.cli.container_name import CONTAINER_NAME
from lstore.cli.containers import for_each
from lstore.cli.parsing import verb
from lstore.cli.session import Session
from lstore.cli.verbs import STOP


@verb(STOP)
@click.argument("names", metavar="CONTAINER...", nargs=-1, required=True, type=CONTAINER_NAME)
@click.option(
    "-s", "--signal", "signal_name", metavar="SIGNAL", help="Instead of the container's stop signal"
)
@click.option("-t", "--timeout", "--time", type=int, help="Seconds until it is killed; -1 for never")
@click.pass_obj
def command(session: Session, *, names: Sequence[str], signal_name: str | None, timeout: int | None) -> int:
    from lstore.engine.containers.ending import stop
    from runner.signals import parse_signal

    engine = session.engine()
    number = None if signal_name is None else parse_signal(signal_name)
    return for_each(session, names, lambda name: stop(engine, name, number=number, timeout=timeout))
