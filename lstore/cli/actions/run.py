"""``lstore run``: IMAGE [COMMAND] [ARG...]."""

from __future__ import annotations

from lstore.cli.container_flags import RUN_FLAGS, request_of
from lstore.cli.containers import ExitsAsRun, refuse_pipe, write_cidfile
from lstore.cli.joining import joining_of
from lstore.engine.containers.create import begin
from lstore.engine.containers.run import run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from lstore.cli.flags import Given
    from lstore.cli.session import Session

FLAGS = RUN_FLAGS
LEAST = 1
MOST = None


def act(session: Session, given: Given, words: Sequence[str]) -> int:
    """Make the container and start it; its exit status, 0 where it is left in the background.

    So it is where nothing but its input is joined, once that has ended.
    """
    image, *command = words
    is_detached = given.is_on("detach")
    with ExitsAsRun():
        request = request_of(given, image, command, session.settings.environment, is_detached=is_detached)
        joining = joining_of(given, sends_input=request.has_input, streams=request.attached)
        if request.has_terminal and "stdin" in request.attached:
            refuse_pipe()
        engine = session.engine()
        with session.progress(is_quiet=given.is_on("quiet")) as progress:
            made = begin(engine, request, progress)
        with made:
            write_cidfile(given.text("cidfile"), made.config.id)
            if not is_detached and not joining.outputs:
                session.line(made.config.id)
                session.streams.out.flush()  # as docker does: whoever writes to it need not wait for its end
            status = run(engine, made, None if is_detached else joining)
    if is_detached:
        session.line(made.config.id)
    return (status or 0) if joining.outputs else 0
