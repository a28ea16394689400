"""``lstore exec``, ``lstore container exec``."""

from collections.abc import Sequence

import click

from lstore.cli.container_flags import (
    DETACH,
    DETACH_KEYS,
    ENV,
    ENV_FILE,
    INTERACTIVE,
    TTY,
    USER,
    WORKDIR,
    variables,
)
from lstore.cli.container_name import CONTAINER_NAME
from lstore.cli.containers import refuse_pipe
from lstore.cli.flags import Flag, Given
from lstore.cli.parsing import flags, verb
from lstore.cli.session import Session
from lstore.cli.verbs import EXEC
from runner.keys import DEFAULT, parse_keys

_PRIVILEGED = Flag(("--privileged",), "privileged", "switch", "Give the command every capability")
EXEC_FLAGS = (DETACH, DETACH_KEYS, ENV, ENV_FILE, INTERACTIVE, _PRIVILEGED, TTY, USER, WORKDIR)


@verb(EXEC, stops_at_arguments=True)
@click.argument("name", metavar="CONTAINER", type=CONTAINER_NAME)
@click.argument("words", metavar="COMMAND [ARG...]", nargs=-1, required=True)
@flags(*EXEC_FLAGS)
@click.pass_obj
def command(session: Session, /, *, name: str, words: Sequence[str], **options: object) -> int:
    from lstore.engine.containers.exec import ExecRequest, execute

    given = Given(options)
    keys = given.text("detach_keys")
    request = ExecRequest(
        command=tuple(words),
        env=tuple(variables(given, session.settings.environment)),
        cwd=given.text("workdir"),
        user=given.text("user"),
        has_terminal=given.is_on("tty"),
        has_input=given.is_on("interactive"),
        is_detached=given.is_on("detach"),
        is_privileged=given.is_on("privileged"),
        detach_keys=parse_keys(DEFAULT if keys is None else keys),
    )
    if request.has_terminal and request.has_input and not request.is_detached:
        refuse_pipe()
    return execute(session.engine(), name, request)
