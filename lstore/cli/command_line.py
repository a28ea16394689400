"""The whole command line for click: global options, then the commands of the table."""

from __future__ import annotations

import click

from lstore.cli.flags import GLOBAL_FLAGS, Given, global_defaults
from lstore.cli.misuse import usage_error
from lstore.cli.parsing import LazyGroup, flags
from lstore.cli.verbs import FAMILIES, VERBS
from lstore.version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lstore.cli.session import Session

_SUMMARY = "Pull, keep, stack, build and run container images, without a daemon."


def invoke(arguments: Sequence[str], session: Session) -> int:
    """Do what `arguments` say; the exit status. Raises what the command raises, and `UsageError`."""
    group = command_line(session.settings.environment)
    try:
        status = group.main(args=list(arguments), prog_name="lstore", obj=session, standalone_mode=False)
    except click.UsageError as error:
        raise usage_error(error) from error
    except click.Abort as error:
        raise KeyboardInterrupt from error
    except SystemExit as done:  # completion, which click ends itself
        status = done.code
    return status if isinstance(status, int) else 0


def command_line(environment: Mapping[str, str]) -> LazyGroup:
    """The whole command line; `environment` gives the global options their defaults."""
    group = LazyGroup("lstore", _SUMMARY, VERBS, FAMILIES)
    group.params = _globals.params
    group.callback = _globals.callback
    group.context_settings = {"default_map": global_defaults(environment)}
    return group


def _print_version(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        click.echo(f"lstore version {__version__}")
        context.exit()


@click.command()
@flags(*GLOBAL_FLAGS)
@click.option(
    "-v",
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Print the version",
)
@click.pass_context
def _globals(context: click.Context, /, **options: object) -> None:
    session: Session = context.obj
    session.configure(Given(options))
    if context.invoked_subcommand is None:
        click.echo(context.get_help())
