"""The ``created_by`` of a history entry, byte for byte as BuildKit writes it."""

from collections.abc import Mapping, Sequence

from layerstore.build.go_text import quote, quote_all, quote_character, show_duration
from layerstore.build.image_state import ImageState
from layerstore.build.instruction import (
    Add,
    Arg,
    Cmd,
    Copy,
    Entrypoint,
    Env,
    Expose,
    Healthcheck,
    Instruction,
    Label,
    Maintainer,
    OnBuild,
    Pair,
    Run,
    Shell,
    StopSignal,
    User,
    Volume,
    Workdir,
)
from layerstore.build.ports import parse_port

_BUILDKIT = " # buildkit"
"""Marks the entries of steps that made a layer."""

Arguments = Sequence[tuple[str, str | None]]
"""The ARGs declared so far, in order, with their values."""


def created_by(
    instruction: Instruction, state: ImageState, arguments: Arguments, variables: Mapping[str, str]
) -> str | None:
    """The line for an expanded `instruction` that led to `state`; None for ONBUILD, which leaves none.

    `arguments` are those before it, `variables` the environment of RUN. Raises `InvalidInput` for ports that
    are none.
    """
    match instruction:
        case Run():
            return f"RUN {_run(instruction, state, arguments, variables)}{_BUILDKIT}"
        case Copy() | Add():
            return f"{_transfer(instruction)}{_BUILDKIT}"
        case Env():
            return f"ENV {_pairs(instruction.pairs)}"
        case Label():
            return f"LABEL {_pairs(instruction.pairs)}"
        case Workdir():
            return f"WORKDIR {state.working_dir}"
        case User():
            return f"USER {instruction.user}"
        case Maintainer():
            return f"MAINTAINER {instruction.author}"
        case OnBuild() | Arg():
            return None
    return _runtime(instruction, state)


def argument_line(declared: Arguments) -> str:
    """The line for one ARG."""
    return "ARG " + " ".join(key if value is None else f"{key}={value}" for key, value in declared)


def _runtime(instruction: Instruction, state: ImageState) -> str | None:
    match instruction:
        case Cmd():
            return f"CMD {quote_all(state.cmd)}"
        case Entrypoint():
            return f"ENTRYPOINT {quote_all(state.entrypoint)}"
        case Expose():
            ports = [port for text in instruction.ports for port in parse_port(text).ports()]
            return f"EXPOSE [{' '.join(ports)}]"
        case Volume():
            return f"VOLUME [{' '.join(instruction.paths)}]"
        case StopSignal():
            return f"STOPSIGNAL {instruction.signal}"
        case Shell():
            return f"SHELL [{' '.join(instruction.arguments)}]"
        case Healthcheck():
            return f"HEALTHCHECK {_healthcheck(instruction)}"
    return None


def _pairs(pairs: Sequence[Pair]) -> str:
    return " ".join(f"{pair.key}={pair.value}" for pair in pairs)


def _run(run: Run, state: ImageState, arguments: Arguments, variables: Mapping[str, str]) -> str:
    shown = {key: f"{key}={variables.get(key, value or '')}" for key, value in arguments}
    count = [f"|{len(shown)}", *shown.values()] if shown else []
    return " ".join([*count, *run.command.with_shell(state.command_shell)])


def _transfer(transfer: Copy | Add) -> str:
    words = [transfer.name]
    if transfer.parents:
        words.append("--parents")
    if transfer.chown:
        words.append(f"--chown={transfer.chown}")
    if transfer.chmod:
        words.append(f"--chmod={transfer.chmod}")
    words += transfer.sources
    words += [f"<<{file.name}" for file in transfer.inline]
    return " ".join([*words, transfer.destination])


def _healthcheck(check: Healthcheck) -> str:
    times = (check.interval, check.timeout, check.start_period, check.start_interval)
    shown = " ".join(quote(show_duration(each)) for each in times)
    return f"&{{{quote_all(check.test)} {shown} {quote_character(check.retries)}}}"
