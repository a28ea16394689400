"""What the commands for containers share: statuses, ids in files, joined streams, and several at once."""

from __future__ import annotations

import os

from layerstore.errors import EXIT_USAGE, LstoreError, UsageError
from lstore.cli.errors import typed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from lstore.cli.session import Session


class ExitsAsRun:
    """A block whose errors have docker's statuses of ``run``: 125 at least, since less is the container's own."""

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        known = None if error is None else typed(error)
        if known is None:
            return
        known.exit_status = max(known.exit_status, EXIT_USAGE)
        if known is not error:
            raise known from error


def refuse_pipe() -> None:
    """Raises `UsageError` where our input, which is to be a terminal, is none: docker's "not a TTY"."""
    if not os.isatty(0):
        raise UsageError("the input device is not a TTY", hint="leave out -t")


def write_cidfile(path: str | None, identifier: str) -> None:
    """Write the id to a file that is not there yet, if `path` names one. Raises `UsageError`."""
    if path is None:
        return
    try:
        with open(path, "x", encoding="ascii") as stream:
            stream.write(identifier)
    except FileExistsError as error:
        raise UsageError(
            f"container ID file found, make sure the other container isn't running or delete {path}"
        ) from error


def for_each(session: Session, names: Iterable[str], act: Callable[[str], object]) -> int:
    """Do it to each container, and print its name as it was given; the exit status of those that failed together."""
    failures: list[LstoreError] = []
    for name in names:
        try:
            act(name)
        except LstoreError as error:
            failures.append(error)
        else:
            session.line(name)
    return session.failed(failures)
