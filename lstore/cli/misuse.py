"""What click raises → errors of our own, in docker's words."""

import click

from layerstore.errors import UsageError


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
    if least == len(arguments):
        return _counted(least)
    return f"{least} to {_counted(len(arguments))}" if least else f"at most {_counted(len(arguments))}"


def _counted(number: int) -> str:
    return f"{number} argument" if number == 1 else f"{number} arguments"
