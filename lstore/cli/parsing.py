"""click, made lazy: a group knows its commands by the table of `verbs` and imports one when it runs."""

import difflib
import inspect
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import TypeVar

import click
from click.shell_completion import CompletionItem

from lstore.cli.errors import ReaderGone, UnknownCommand
from lstore.cli.flags import Flag, truth
from lstore.cli.verbs import Family, Verb

_MIXED = "allow_interspersed_args"
F = TypeVar("F", bound=Callable[..., object])


class LazyGroup(click.Group):
    """A group whose commands are `verbs` and whose sub-groups are `families`, neither imported yet."""

    def __init__(
        self, name: str, summary: str, verbs: Mapping[str, Verb], families: Mapping[str, Family] | None = None
    ) -> None:
        super().__init__(name, help=summary, invoke_without_command=True)
        self._verbs = verbs
        self._families = families or {}
        self.callback = click.pass_context(_help_without_command)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """See click."""
        return super().parse_args(ctx, _with_plain_switches(self, args, is_mixed=False))

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names that help and completion show."""
        shown = [name for name, verb in self._verbs.items() if not verb.is_hidden]
        return sorted([*shown, *self._families])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported; None where there is none of that name."""
        if cmd_name in self._families:
            family = self._families[cmd_name]
            return LazyGroup(cmd_name, f"{family.summary}.", family.verbs)
        verb = self._verbs.get(cmd_name)
        if verb is None:
            return None
        command: click.Command = import_module(f"lstore.cli.commands.{verb.module}").command
        return command

    def invoke(self, ctx: click.Context) -> object:
        """Run what `ctx` chose. Raises `ReaderGone` for a broken pipe, and what the command raises."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise ReaderGone from error

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that `args` start with. Raises `UnknownCommand`."""
        name = args[0]
        if name.startswith("-") or name in self._verbs or name in self._families:
            return super().resolve_command(ctx, args)
        close = difflib.get_close_matches(name, self.list_commands(ctx), n=1)
        raise UnknownCommand(
            f"{name!r} is not a command of {ctx.command_path}",
            hint=f"{ctx.command_path} {close[0] if close else '--help'}",
        )

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """What could follow, from the table alone."""
        summaries = {name: verb.summary for name, verb in self._verbs.items() if not verb.is_hidden}
        summaries |= {name: family.summary for name, family in self._families.items()}
        options = click.Command.shell_complete(self, ctx, incomplete)
        names = [name for name in sorted(summaries) if name.startswith(incomplete)]
        return [*(CompletionItem(name, help=summaries[name]) for name in names), *options]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, from the table alone."""
        summaries = {name: verb.summary for name, verb in self._verbs.items() if not verb.is_hidden}
        families = [(name, family.summary) for name, family in sorted(self._families.items())]
        with formatter.section("Commands"):
            formatter.write_dl(sorted(summaries.items()))
        if families:
            with formatter.section("Management commands"):
                formatter.write_dl(families)


def _help_without_command(context: click.Context) -> None:
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


class VerbCommand(click.Command):
    """A command whose parser's complaints say which command they are about."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """See click; where it leaves the context of a `click.UsageError` open, it is this one."""
        try:
            is_mixed = self.context_settings.get(_MIXED, True)
            return super().parse_args(ctx, _with_plain_switches(self, args, is_mixed=is_mixed))
        except click.UsageError as error:
            error.ctx = error.ctx or ctx
            raise


def _with_plain_switches(command: click.Command, args: Sequence[str], *, is_mixed: bool) -> list[str]:
    """`args` with ``--switch=true`` and ``--switch=false``, which docker takes, spelt so that click does.

    Options may stand behind words only where `is_mixed`.
    """
    options = {
        spelling: option
        for option in command.params
        if isinstance(option, click.Option)
        for spelling in (*option.opts, *option.secondary_opts)
    }
    ahead, plain = list(args), list[str]()
    while ahead and ahead[0] != "--" and (ahead[0][:1] == "-" or is_mixed):
        word = ahead.pop(0)
        name, equals, value = word.partition("=")
        option, said = options.get(name), truth(value) if equals else None
        if option is not None and option.is_flag and said is not None:
            plain = [each for each in plain if each not in (*option.opts, *option.secondary_opts)]
            plain += (option.opts if said is (name in option.opts) else option.secondary_opts)[:1]
            continue
        plain.append(word)
        if not equals and _takes_next(word, options):
            plain += ahead[:1]
            del ahead[:1]
    return plain + ahead


def _takes_next(word: str, options: Mapping[str, click.Option]) -> bool:
    """Whether the value of the option that `word` ends with is the next word."""
    if word.startswith("--") or word in options:
        return word in options and not options[word].is_flag
    for position, letter in enumerate(word[1:], start=2):
        option = options.get(f"-{letter}") if word.startswith("-") else None
        if option is None or not option.is_flag:
            return option is not None and position == len(word)
    return False


def flags(*wanted: Flag) -> Callable[[F], F]:
    """Options of a command from their data; in the function they arrive by `Flag.name`."""

    def decorate(function: F) -> F:
        for flag in reversed(wanted):
            function = _option(flag)(function)
        return function

    return decorate


def _option(flag: Flag) -> Callable[[F], F]:
    names = [*flag.spellings, flag.name]
    match flag.kind:
        case "switch":
            return click.option(*names, is_flag=True, default=flag.is_on, help=flag.help)
        case "list":
            return click.option(*names, multiple=True, metavar=flag.metavar, help=flag.help)
        case "number":
            return click.option(*names, type=int, default=flag.default, metavar="NUMBER", help=flag.help)
    kind = click.Choice(flag.choices) if flag.choices else str
    metavar = flag.metavar or None
    return click.option(*names, type=kind, default=flag.default, metavar=metavar, help=flag.help)


def verb(
    entry: Verb, *, stops_at_arguments: bool = False
) -> Callable[[Callable[..., int | None]], VerbCommand]:
    """Makes the command of `entry` out of a function, which may return an exit status; its docstring joins the help.

    With `stops_at_arguments`, what follows the first argument is never an option, as in ``run IMAGE CMD -x``.
    """

    def decorate(function: Callable[..., int | None]) -> VerbCommand:
        text = "\n\n".join(part for part in (f"{entry.summary}.", inspect.getdoc(function)) if part)
        settings = {_MIXED: not stops_at_arguments}
        name = entry.module.rstrip("_").replace("_", "-")
        return click.command(name, VerbCommand, help=text, context_settings=settings)(function)

    return decorate
