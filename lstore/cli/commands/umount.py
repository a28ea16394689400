"""``lstore umount``, ``lstore image umount``."""

from collections.abc import Sequence

import click

from layerstore.errors import LstoreError, UsageError
from lstore.cli.parsing import verb
from lstore.cli.session import Session
from lstore.cli.verbs import UMOUNT


@verb(UMOUNT)
@click.argument("places", metavar="DIR|IMAGE|CONTAINER...", nargs=-1)
@click.option("-a", "--all", "is_all", is_flag=True, help="Unmount everything that lstore mounted")
@click.pass_obj
def command(session: Session, *, places: Sequence[str], is_all: bool) -> int:
    """Print each place that is free again."""
    from lstore.engine.mount import unmount, unmount_all

    if bool(places) == is_all:
        raise UsageError("say what to unmount, or --all", hint="lstore mount")
    engine = session.engine()
    failures: list[LstoreError] = []
    if is_all:
        for done in unmount_all(engine):
            failures.append(done) if isinstance(done, LstoreError) else session.line(done.target)
    for place in places:
        try:
            session.line(unmount(engine, place).target)
        except LstoreError as error:
            failures.append(error)
    return session.failed(failures)
