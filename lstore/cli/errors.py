"""Failures → one line, a hint, and an exit status (docs/exit-statuses.md)."""

from typing import NoReturn

import click

from layerstore.errors import (
    EXIT_FAILURE,
    EXIT_INTERRUPTED,
    LstoreError,
    UsageError,
    storage_error,
)
from lstore.cli.terminal import Output, printable

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
        case KeyboardInterrupt() | click.Abort():
            err.line()
            return EXIT_INTERRUPTED
        case Terminated():
            return EXIT_TERMINATED
    known = _typed(error)
    if known is None:
        err.line(f"lstore: {_one_line(str(error) or type(error).__name__)}; this is a bug in lstore")
        err.line("  try: the same command with --debug after lstore, and report what it prints")
        return EXIT_FAILURE
    err.line(f"lstore: {_one_line(known.message)}")
    if known.hint:
        err.line(f"  try: {_one_line(known.hint)}")
    return known.exit_status


def _typed(error: BaseException) -> LstoreError | None:
    match error:
        case LstoreError():
            return error
        case click.UsageError():
            return usage_error(error)
        case MemoryError():
            return LstoreError("out of memory")
        case OSError(filename=str() | bytes() as name):
            return storage_error(error, f"use {name!r}" if isinstance(name, bytes) else f"use {name}")
        case OSError(errno=int()):
            return storage_error(error, "finish")
    return None


def _one_line(text: str) -> str:
    return printable(text).replace("\n", " ").replace("\t", " ")


def usage_error(error: click.UsageError) -> UsageError:
    """What click found wrong with the arguments, in docker's words."""
    path = error.ctx.command_path if error.ctx is not None else "lstore"
    return UsageError(_usage_message(error, path), hint=f"{path} --help")


def _usage_message(error: click.UsageError, path: str) -> str:
    match error:
        case click.NoSuchOption(option_name=name) if not name.startswith("--"):
            return f"unknown shorthand flag: {name[1:]!r} in {name}"
        case click.NoSuchOption(option_name=name):
            close = [each for each in error.possibilities or () if each.startswith("--")]
            return f"unknown flag: {name}" + (f" (did you mean {close[0]}?)" if close else "")
        case click.BadOptionUsage(option_name=name) if "requires" in error.message:
            return f"flag needs an argument: {name}"
        case click.MissingParameter(param=click.Option() as option):
            return f"{path!r} needs the flag {option.opts[0]}"
        case click.MissingParameter():
            return f"{path!r} requires {_arity(error.ctx)}"
        case click.BadParameter(param=click.Option() as option):
            return f"invalid argument for {option.opts[-1]!r} flag: {_lowered(error.message)}"
    if type(error) is click.UsageError:  # what click raises itself, for arguments that nothing takes
        return f"{path!r} requires {_arity(error.ctx)}"
    return _lowered(error.format_message())


def _lowered(message: str) -> str:
    return (message[:1].lower() + message[1:]).rstrip(".")


def _arity(context: click.Context | None) -> str:
    """How many arguments the command takes, as docker says it: ``at least 1 argument``."""
    parameters = context.command.params if context is not None else []
    arguments = [each for each in parameters if isinstance(each, click.Argument)]
    least = sum(each.required for each in arguments)
    is_open = any(each.nargs == -1 for each in arguments)
    if not arguments:
        return "no arguments"
    if is_open:
        return f"at least {_counted(least)}"
    return _counted(least) if least == len(arguments) else f"{least} to {_counted(len(arguments))}"


def _counted(number: int) -> str:
    return f"{number} argument" if number == 1 else f"{number} arguments"
