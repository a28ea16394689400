"""One invocation: global options, then one command, then an exit status.

Nothing here imports the engine, which the command that needs it opens, or click, which `light` may do without.
"""

from __future__ import annotations

import os
import sys

from layerstore.linux import signals
from lstore import bytecode
from lstore.cli import light
from lstore.cli.errors import EXIT_BROKEN_PIPE, raise_terminated, report
from lstore.cli.session import Session
from lstore.cli.settings import Settings, arm_crash_point, environment, streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn

    from lstore.cli.settings import Streams


def main() -> NoReturn:
    """Run the command that the process was given, and exit with its status."""
    signals.signal(signals.SIGTERM, raise_terminated)
    known = environment()
    arm_crash_point(known)
    status = run(sys.argv[1:], streams(), known)
    bytecode.keep_fresh()
    if sys.gettrace() is not None:  # who measures or debugs has something to do at exit
        sys.exit(status)
    os._exit(status)  # all is written and closed; taking the interpreter apart is a tenth of a short command


def run(arguments: Sequence[str], streams: Streams, environment: Mapping[str, str]) -> int:
    """The exit status of one invocation; whatever happens has been told on the streams."""
    session = Session(streams, Settings(environment=environment))
    try:
        status = _act(arguments, session)
        streams.out.flush()
        streams.err.flush()
    except BaseException as error:  # the last handler of the process: it turns all into a status
        return _abandon(error, session)
    return status


def _act(arguments: Sequence[str], session: Session) -> int:
    plain = light.parse(arguments, session.settings.environment)
    if plain is None:
        from lstore.cli.command_line import invoke

        return invoke(arguments, session)
    session.configure(plain.globals)
    return plain.act(session)


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
