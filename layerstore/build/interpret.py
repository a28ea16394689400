"""Statements into instructions, each by its own rules. Nothing invalid gets past here.

What variables may still change (ports, signals) is checked once they are expanded.
"""

import re
from collections.abc import Callable
from typing import Final, cast

from layerstore.build.heredoc import parse_marker
from layerstore.build.instruction import (
    Arg,
    Cmd,
    CommandLine,
    Declaration,
    Entrypoint,
    Env,
    Expose,
    From,
    InlineFile,
    Instruction,
    Label,
    Maintainer,
    Network,
    OnBuild,
    Pair,
    Run,
    Security,
    Shell,
    StopSignal,
    User,
    Volume,
    Workdir,
)
from layerstore.build.interpret_healthcheck import interpret_healthcheck
from layerstore.build.interpret_transfer import interpret_add, interpret_copy
from layerstore.build.mount import parse_mount
from layerstore.build.statement import Flags, Statement
from layerstore.build.suggestion import did_you_mean
from layerstore.build.words import Word, exec_form, split_pair, split_quoted, split_spaces
from layerstore.errors import InvalidInput

_STAGE_NAME: Final = re.compile(r"[a-z][a-z0-9_.-]*\Z")
_NETWORKS: Final = ("default", "none", "host")
_SECURITIES: Final = ("sandbox", "insecure")
_NO_TRIGGERS: Final = frozenset({"FROM", "MAINTAINER"})
_DEFAULTS: Final = {"network": "default", "security": "sandbox"}


def interpret(statement: Statement) -> Instruction:
    """The instruction that `statement` spells. Raises `DockerfileError`."""
    reader = READERS.get(statement.name)
    if reader is None:
        suggestion = did_you_mean(statement.name, READERS)
        raise statement.error(f"unknown instruction: {statement.keyword.text}{suggestion}")
    return reader(statement)


def _command_line(statement: Statement) -> CommandLine:
    try:
        array = exec_form(statement.rest.text)
    except InvalidInput as error:
        raise statement.error(error.message, statement.rest.offset) from error
    if array is not None:
        return CommandLine(array, is_shell=False)
    return CommandLine((statement.rest.text,) if statement.rest.text else (), is_shell=True)


def _single(statement: Statement) -> str:
    """The only argument of an instruction that takes the rest of its line for one."""
    Flags(statement)
    if not statement.rest.text:
        raise statement.error(f"{statement.name} requires exactly one argument")
    return statement.rest.text


def _from(statement: Statement) -> From:
    flags = Flags(statement, ("platform",))
    words = split_spaces(statement.rest)
    if len(words) == 1:
        return From(statement, words[0].text, platform=flags.text("platform"))
    if len(words) != 3 or words[1].text.lower() != "as":
        raise statement.error(
            "FROM requires either one or three arguments: IMAGE [AS NAME]", statement.rest.offset
        )
    alias = words[2].text.lower()
    if not _STAGE_NAME.match(alias):
        problem = "name can't start with a number or contain symbols"
        raise statement.error(f"invalid name for build stage: {words[2].text!r}, {problem}", words[2].offset)
    return From(statement, words[0].text, alias, flags.text("platform"))


def _run(statement: Statement) -> Run:
    flags = Flags(statement, ("network", "security"), repeatable=("mount",))
    command = _command_line(statement)
    if not command.arguments:
        raise statement.error("RUN requires a command")
    mounts = flags.texts("mount")
    parsed = []
    for index, text in enumerate(mounts):
        try:
            parsed.append(parse_mount(text))
        except InvalidInput as error:
            raise statement.error(error.message, flags.offset("mount", index)) from error
    command, script = _with_heredocs(statement, command)
    network = cast(Network, _choice(statement, flags, "network", _NETWORKS))
    security = cast(Security, _choice(statement, flags, "security", _SECURITIES))
    return Run(statement, command, mounts, tuple(parsed), network, security, script)


def _with_heredocs(statement: Statement, command: CommandLine) -> tuple[CommandLine, InlineFile | None]:
    """The command with its heredocs: a lone one is the script itself, others are the shell's to read."""
    if not statement.heredocs:
        return command, None
    marker, first = parse_marker(command.arguments[0]), statement.heredocs[0]
    if marker is None:
        whole = command.arguments[0] + "".join(f"\n{each.content}{each.name}" for each in statement.heredocs)
        return CommandLine((whole,), is_shell=True), None
    if first.content.startswith("#!"):
        script = InlineFile(first.name, first.text)
        return CommandLine((f"/dev/pipes/{first.name}",), is_shell=True), script
    return CommandLine((first.text,), is_shell=True), None


def _choice(statement: Statement, flags: Flags, name: str, choices: tuple[str, ...]) -> str:
    value = flags.text(name) or _DEFAULTS[name]
    if value not in choices:
        suggestion = did_you_mean(value, choices)
        raise statement.error(f"{name} {value!r} is not supported{suggestion}", flags.offset(name))
    return value


def _pairs(statement: Statement) -> tuple[Pair, ...]:
    Flags(statement)
    words = split_quoted(statement.rest, statement.escape)
    if not words:
        raise statement.error(f"{statement.name} requires at least one argument")
    if "=" not in words[0].text:
        pair = split_pair(statement.rest)
        if pair is None:
            raise statement.error(f"{statement.name} must have two arguments", words[0].offset)
        return (Pair(pair[0].text, pair[1].text, has_equals=False),)
    return tuple(_pair(statement, word) for word in words)


def _pair(statement: Statement, word: Word) -> Pair:
    key, equals, value = word.text.partition("=")
    if not equals:
        problem = f"syntax error - can't find = in {word.text!r}. Must be of the form: name=value"
        raise statement.error(problem, word.offset)
    if not key:
        raise statement.error(f"{statement.name} names can not be blank", word.offset)
    return Pair(key, value)


def _arg(statement: Statement) -> Arg:
    Flags(statement)
    words = split_quoted(statement.rest, statement.escape)
    if not words:
        raise statement.error("ARG requires at least one argument")
    declarations = []
    for word in words:
        key, equals, default = word.text.partition("=")
        if not key:
            raise statement.error("ARG names can not be blank", word.offset)
        declarations.append(Declaration(key, default if equals else None))
    return Arg(statement, tuple(declarations))


def _cmd(statement: Statement) -> Cmd:
    Flags(statement)
    return Cmd(statement, _command_line(statement))


def _entrypoint(statement: Statement) -> Entrypoint:
    Flags(statement)
    return Entrypoint(statement, _command_line(statement))


def _shell(statement: Statement) -> Shell:
    Flags(statement)
    command = _command_line(statement)
    if not command.arguments:
        raise statement.error("SHELL requires at least one argument")
    if command.is_shell:
        raise statement.error("SHELL requires the arguments to be in JSON form", statement.rest.offset)
    return Shell(statement, command.arguments)


def _expose(statement: Statement) -> Expose:
    Flags(statement)
    words = split_spaces(statement.rest)
    if not words:
        raise statement.error("EXPOSE requires at least one argument")
    return Expose(statement, tuple(sorted(word.text for word in words)))


def _volume(statement: Statement) -> Volume:
    Flags(statement)
    command = _command_line(statement)
    words = split_spaces(statement.rest) if command.is_shell else ()
    paths = tuple(word.text for word in words) or command.arguments
    if not paths:
        raise statement.error("VOLUME requires at least one argument")
    if not all(path.strip() for path in paths):
        raise statement.error("VOLUME specified can not be an empty string", statement.rest.offset)
    return Volume(statement, tuple(path.strip() for path in paths))


def _onbuild(statement: Statement) -> OnBuild:
    Flags(statement)
    if not statement.rest.text:
        raise statement.error("ONBUILD requires at least one argument")
    inner = statement.behind_keyword()
    if inner.name == "ONBUILD":
        raise inner.error("chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
    if inner.name in _NO_TRIGGERS:
        raise inner.error(f"{inner.name} isn't allowed as an ONBUILD trigger")
    trigger = inner.text + "".join(f"\n{each.content}{each.name}" for each in inner.heredocs)
    return OnBuild(statement, trigger, interpret(inner))


READERS: Final[dict[str, Callable[[Statement], Instruction]]] = {
    "ADD": interpret_add,
    "ARG": _arg,
    "CMD": _cmd,
    "COPY": interpret_copy,
    "ENTRYPOINT": _entrypoint,
    "ENV": lambda statement: Env(statement, _pairs(statement)),
    "EXPOSE": _expose,
    "FROM": _from,
    "HEALTHCHECK": interpret_healthcheck,
    "LABEL": lambda statement: Label(statement, _pairs(statement)),
    "MAINTAINER": lambda statement: Maintainer(statement, _single(statement)),
    "ONBUILD": _onbuild,
    "RUN": _run,
    "SHELL": _shell,
    "STOPSIGNAL": lambda statement: StopSignal(statement, _single(statement)),
    "USER": lambda statement: User(statement, _single(statement)),
    "VOLUME": _volume,
    "WORKDIR": lambda statement: Workdir(statement, _single(statement)),
}
"""By keyword."""
