"""Failures → one line, a hint, and an exit status (docs/exit-statuses.md)."""

from __future__ import annotations

import os

from layerstore.errors import (
    EXIT_FAILURE,
    EXIT_INTERRUPTED,
    LstoreError,
    StorageError,
    UsageError,
    file_error,
    storage_error,
)
from lstore.cli.terminal import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from lstore.cli.terminal import Output

EXIT_BROKEN_PIPE = 141
"""128 + SIGPIPE: what the shell would say of a program that the signal ended."""
EXIT_TERMINATED = 143
"""128 + SIGTERM."""


class UnknownCommand(UsageError):
    """There is no such command. Docker exits 1 here, and 125 for other misuse."""

    exit_status = EXIT_FAILURE


class ReaderGone(Exception):
    """Nobody reads our output any more. Not an ``OSError``: click would end the process over that one itself."""


class Terminated(BaseException):
    """SIGTERM arrived; blocks unwind as for an interrupt."""


def raise_terminated(signal_number: int, frame: object) -> NoReturn:
    """A signal handler that unwinds the stack."""
    raise Terminated


def report(error: BaseException, err: Output, *, is_debug: bool) -> int:
    """Tell of `error` on `err`; what is returned is the exit status."""
    if is_debug:
        import traceback  # the way to a running container does without

        err.write("".join(traceback.format_exception(error)))
    match error:
        case BrokenPipeError() | ReaderGone():
            return EXIT_BROKEN_PIPE
        case KeyboardInterrupt():
            err.line()
            return EXIT_INTERRUPTED
        case Terminated():
            return EXIT_TERMINATED
    known = typed(error)
    if known is None:
        err.line(f"lstore: {_one_line(str(error) or type(error).__name__)}; this is a bug in lstore")
        err.line("  try: the same command with --debug after lstore, and report what it prints")
        return EXIT_FAILURE
    err.line(f"lstore: {_one_line(known.message)}")
    if known.hint:
        err.line(f"  try: {_one_line(known.hint)}")
    return known.exit_status


def typed(error: BaseException) -> LstoreError | None:
    """What `error` is in our words; None for a bug, an interrupt, or a reader that went away."""
    match error:
        case LstoreError():
            return error
        case BrokenPipeError():
            return None
        case MemoryError():
            return LstoreError("out of memory")
        case OSError(filename=str() | bytes() as name):
            return storage_error(error, f"use {name!r}" if isinstance(name, bytes) else f"use {name}")
        case FileNotFoundError() if _has_no_place():
            return StorageError("cannot tell which directory this is: it was removed", hint="cd /")
        case OSError(errno=int()):
            return file_error(error, "finish")
    return None


def _has_no_place() -> bool:
    """Whether the directory that the process is in was removed. getcwd(3)"""
    try:
        os.getcwd()
    except FileNotFoundError:
        return True
    return False


def _one_line(text: str) -> str:
    return printable(text).replace("\n", " ").replace("\t", " ")
