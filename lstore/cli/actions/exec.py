"""``lstore exec``: CONTAINER COMMAND [ARG...]."""

from __future__ import annotations

from lstore.cli.containers import refuse_pipe
from lstore.cli.process_flags import EXEC_FLAGS, variables
from lstore.engine.containers.exec import ExecRequest, execute
from runner.keys import DEFAULT, parse_keys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from lstore.cli.flags import Given
    from lstore.cli.session import Session

FLAGS = EXEC_FLAGS
LEAST = 2
MOST = None


def act(session: Session, given: Given, words: Sequence[str]) -> int:
    """Run the command in the container; its exit status, 0 where it is left in the background."""
    name, *command = words
    keys = given.text("detach_keys")
    request = ExecRequest(
        command=tuple(command),
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
