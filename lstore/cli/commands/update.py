"""``lstore update``, ``lstore container update``."""

from collections.abc import Sequence

import click

from lstore.cli.container_name import CONTAINER_NAME
from lstore.cli.containers import for_each
from lstore.cli.flags import Flag, Given
from lstore.cli.isolation_flags import LIMIT_FLAGS, limits_given
from lstore.cli.parsing import flags, verb
from lstore.cli.session import Session
from lstore.cli.verbs import UPDATE

_RESTART = Flag(("--restart",), "restart", "text", "When to start it again", metavar="POLICY")


@verb(UPDATE)
@click.argument("names", metavar="CONTAINER...", nargs=-1, required=True, type=CONTAINER_NAME)
@flags(*LIMIT_FLAGS, _RESTART)
@click.pass_obj
def command(session: Session, /, *, names: Sequence[str], **options: object) -> int:
    from lstore.engine.update import update

    given = Given(options)
    limits, restart = limits_given(given), given.text("restart")
    engine = session.engine()
    return for_each(session, names, lambda name: update(engine, name, limits, restart=restart))
