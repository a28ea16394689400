"""The entry point ``lstore``: global options, then one command, then an exit status.

Nothing here imports the engine: it is opened by the command that needs it.
"""

import gc
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

import click

from lstore.cli.errors import EXIT_BROKEN_PIPE, raise_terminated, report
from lstore.cli.parsing import LazyGroup
from lstore.cli.session import Session
from lstore.cli.settings import LOG_LEVELS, Settings, Streams, arm_crash_point, environment, streams
from lstore.cli.verbs import FAMILIES, VERBS
from lstore.version import __version__

_COLLECT_AFTER = 50_000
"""New objects until Python looks for cycles; at its own 700, imports and documents are walked again and again."""
_SUMMARY = "Pull, keep, stack, build and run container images, without a daemon."


def main() -> NoReturn:
    """Run the command that the process was given, and exit with its status."""
    signal.signal(signal.SIGTERM, raise_terminated)
    gc.set_threshold(_COLLECT_AFTER)
    known = environment()
    arm_crash_point(known)
    status = run(sys.argv[1:], streams(), known)
    gc.freeze()  # else the interpreter looks for cycles among all that was imported once more before it ends
    sys.exit(status)


def run(arguments: Sequence[str], streams: Streams, environment: Mapping[str, str]) -> int:
    """The exit status of one invocation; whatever happens has been told on the streams."""
    session = Session(streams, Settings(environment=environment))
    try:
        status = command_line(environment).main(
            args=list(arguments), prog_name="lstore", obj=session, standalone_mode=False
        )
        streams.out.flush()
    except BaseException as error:  # the last handler of the process: it turns all into a status
        return _abandon(error, session)
    return status if isinstance(status, int) else 0


def _abandon(error: BaseException, session: Session) -> int:
    try:
        session.streams.out.flush()
        status = report(error, session.streams.err, is_debug=session.settings.is_debug)
        session.streams.err.flush()
    except BrokenPipeError as broken:
        status = report(broken, session.streams.err, is_debug=False)
    if status == EXIT_BROKEN_PIPE:
        sys.stdout = sys.stderr = None  # the interpreter would try to flush them once more
    return status


def command_line(environment: Mapping[str, str]) -> LazyGroup:
    """The whole command line; `environment` gives the global options their defaults."""
    group = LazyGroup("lstore", _SUMMARY, VERBS, FAMILIES)
    group.params = [
        click.Option(
            ["--root"],
            metavar="DIR",
            default=environment.get("LSTORE_ROOT"),
            help="Where the store is, instead of LSTORE_ROOT or the default",
        ),
        click.Option(
            ["--config"],
            metavar="FILE",
            default=environment.get("LSTORE_CONFIG"),
            help="The configuration file, instead of LSTORE_CONFIG or the default",
        ),
        click.Option(["--driver"], metavar="NAME", help="How layers are kept, instead of the best way"),
        click.Option(["-D", "--debug"], is_flag=True, help="Log everything, and show tracebacks"),
        click.Option(
            ["-l", "--log-level"], type=click.Choice(LOG_LEVELS), default="warning", help="What to log"
        ),
        click.Option(
            ["-v", "--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_print_version,
            help="Print the version",
        ),
    ]
    group.callback = _globals
    return group


def _print_version(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        click.echo(f"lstore version {__version__}")
        context.exit()


@click.pass_context
def _globals(
    context: click.Context,
    *,
    root: str | None,
    config: str | None,
    driver: str | None,
    debug: bool,
    log_level: str,
) -> None:
    session: Session = context.obj
    session.settings = Settings(root, driver, config, log_level, debug, session.settings.environment)
    session.start_logging()
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


if __name__ == "__main__":
    main()
