"""``lstore wait``, ``lstore container wait``."""

from collections.abc import Sequence

import click

from layerstore.errors import LstoreError
from lstore.cli.container_name import CONTAINER_NAME
from lstore.cli.parsing import verb
from lstore.cli.session import Session
from lstore.cli.verbs import WAIT


@verb(WAIT)
@click.argument("names", metavar="CONTAINER...", nargs=-1, required=True, type=CONTAINER_NAME)
@click.pass_obj
def command(session: Session, *, names: Sequence[str]) -> int:
    from lstore.engine.containers.ending import wait

    failures: list[LstoreError] = []
    for name in names:
        try:
            session.line(str(wait(session.engine(), name)))
        except LstoreError as error:
            failures.append(error)
    return session.failed(failures)
