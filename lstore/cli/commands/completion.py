"""``lstore completion``."""

import click
from click.shell_completion import get_completion_class

from lstore.cli.command_line import command_line
from lstore.cli.parsing import verb
from lstore.cli.session import Session
from lstore.cli.verbs import COMPLETION

SHELLS = ("bash", "fish", "zsh")


@verb(COMPLETION)
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_obj
def command(session: Session, *, shell: str) -> None:
    """For bash: lstore completion bash > /etc/bash_completion.d/lstore"""
    kind = get_completion_class(shell)
    if kind is None:
        raise AssertionError(shell)  # click knows all that the choice allows
    session.line(kind(command_line({}), {}, "lstore", "_LSTORE_COMPLETE").source())
