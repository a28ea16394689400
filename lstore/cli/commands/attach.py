"""``lstore attach``, ``lstore container attach``."""

import click

from lstore.cli.container_flags import SIG_PROXY
from lstore.cli.container_name import CONTAINER_NAME
from lstore.cli.flags import Given
from lstore.cli.joining import joining_of
from lstore.cli.parsing import flags, verb
from lstore.cli.process_flags import DETACH_KEYS
from lstore.cli.session import Session
from lstore.cli.verbs import ATTACH


@verb(ATTACH)
@click.argument("name", metavar="CONTAINER", type=CONTAINER_NAME)
@click.option("--no-stdin", is_flag=True, help="Do not pass our standard input on")
@flags(DETACH_KEYS, SIG_PROXY)
@click.pass_obj
def command(session: Session, /, *, name: str, no_stdin: bool, **options: object) -> int:
    """Ends when the container ends, with its exit status, or when the detach keys are pressed."""
    from lstore.engine.containers.attach import attach

    return attach(session.engine(), name, joining_of(Given(options), sends_input=not no_stdin)) or 0
