"""What a failed build has to say: the step's output, the Dockerfile's lines around it, and what to do."""

from collections.abc import Iterator

from layerstore.errors import DockerfileError, StepFailed
from lstore.cli.build_progress import StepLogs
from lstore.cli.session import Session

_AROUND = 2
_LINES = 50
"""Of the step's output, the last ones."""


def report_failure(
    session: Session, error: StepFailed | DockerfileError, dockerfile: bytes, name: str, logs: StepLogs
) -> None:
    """Tell of `error` on standard error; the one-line message is left to whoever handles it."""
    if isinstance(error, StepFailed):
        lines = logs.lines(error.vertex)
        if lines:
            session.streams.err.line("------")
            for line in lines[-_LINES:]:
                session.streams.err.line(line)
            session.streams.err.line("------")
    if isinstance(error, DockerfileError) and error.file != name:
        session.streams.err.line(error.excerpt)
        return
    for line in excerpt(dockerfile, name, error.line):
        session.streams.err.line(line)


def excerpt(dockerfile: bytes, name: str, line: int) -> Iterator[str]:
    """The lines around `line`, that one marked, as BuildKit prints them."""
    lines = dockerfile.decode("utf-8", "replace").splitlines()
    yield f"{name}:{line}"
    yield "-" * 20
    for number in range(max(1, line - _AROUND), min(len(lines), line + _AROUND) + 1):
        mark = ">>>" if number == line else "   "
        yield f"{number:>4} | {mark} {lines[number - 1]}"
    yield "-" * 20
