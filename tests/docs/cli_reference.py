"""``python -m tests.docs.cli_reference > docs/cli.md``: the help of every command, as a page."""

from collections.abc import Iterator

import click

from lstore.cli.command_line import command_line
from lstore.cli.parsing import LazyGroup

_WIDTH = 100
_HEAD = """# The command line

Written by `python -m tests.docs.cli_reference`; a test keeps it in step with the commands. Names, flags, columns and
`--format` are docker's. [Exit statuses](exit-statuses.md) have a page of their own.
"""


def page() -> str:
    """The text of docs/cli.md."""
    sections = "\n".join(_section(name, text) for name, text in _helps(command_line({}), "lstore"))
    return f"{_HEAD}\n{sections}"


def _helps(command: click.Command, path: str) -> Iterator[tuple[str, str]]:
    """Path and help of `command` and of all below it."""
    context = click.Context(command, info_name=path, terminal_width=_WIDTH)
    yield path, command.get_help(context)
    if isinstance(command, LazyGroup):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None:
                yield from _helps(below, f"{path} {name}")


def _section(name: str, text: str) -> str:
    return f"## {name}\n\n```\n{text}\n```\n"


if __name__ == "__main__":
    print(page(), end="")
