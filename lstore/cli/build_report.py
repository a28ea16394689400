"""What a build has to say at its end: of a failure the step's output and the Dockerfile's lines, and what is
likely a mistake."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from layerstore.errors import DockerfileError, StepFailed
from lstore.cli.build_progress import StepLogs
from lstore.cli.session import Session

if TYPE_CHECKING:
    from layerstore.build.lint_rules import LintWarning
    from lstore.engine.build.build import Built
    from lstore.engine.build.request import BuildRequest

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


def report_warnings(session: Session, built: "Built", request: "BuildRequest") -> None:
    """Tell on standard error of what is likely a mistake, in BuildKit's words; with ``--debug`` at length."""
    number = len(built.warnings) + bool(built.unused)
    if not number:
        return
    err, is_long = session.streams.err, session.settings.is_debug
    err.line("")
    err.line(f" {counted(number)} found{':' if is_long else ' (use lstore --debug to expand):'}")
    if built.unused:
        err.line(f" - One or more build-args [{' '.join(built.unused)}] were not consumed")
    for each in built.warnings:
        if is_long:
            err.line("\n".join(told(each, request)))
        else:
            err.line(f" - {each.rule.name}: {each.message} (line {each.position.line})")


def told(warning: "LintWarning", request: "BuildRequest") -> Iterator[str]:
    """A warning at length: the check, where it is explained, and the lines that it is about."""
    yield f"WARNING: {warning.rule.name}{f' - {warning.rule.url}' if warning.rule.url else ''}"
    yield from (warning.message, "")
    yield from excerpt(request.dockerfile, request.dockerfile_name, warning.position.line)
    yield ""


def counted(number: int) -> str:
    """``no warnings``, ``1 warning``, ``2 warnings``."""
    return "no warnings" if not number else f"{number} warning{'s' if number > 1 else ''}"


def excerpt(dockerfile: bytes, name: str, line: int) -> Iterator[str]:
    """The lines around `line`, that one marked, as BuildKit prints them."""
    lines = dockerfile.decode("utf-8", "replace").splitlines()
    yield f"{name}:{line}"
    yield "-" * 20
    for number in range(max(1, line - _AROUND), min(len(lines), line + _AROUND) + 1):
        mark = ">>>" if number == line else "   "
        yield f"{number:>4} | {mark} {lines[number - 1]}"
    yield "-" * 20
