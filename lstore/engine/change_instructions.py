"""Dockerfile instructions that change an image's defaults: ``import --change``, ``commit --change``.

Docker allows only some of them there; those mean what they mean in a build, by the same code (`layerstore.build`).
"""

from collections.abc import Iterable, Mapping

from layerstore.build.expand_instruction import expand_instruction
from layerstore.build.image_state import ImageState, apply_metadata
from layerstore.build.instruction import (
    Cmd,
    Entrypoint,
    Env,
    Expose,
    Healthcheck,
    Instruction,
    Label,
    OnBuild,
    StopSignal,
    User,
    Volume,
    Workdir,
)
from layerstore.build.interpret import interpret
from layerstore.build.lexer import lex
from layerstore.build.source import Source
from layerstore.build.statement import Statement
from layerstore.errors import DockerfileError, InvalidInput, LimitExceeded, UsageError
from layerstore.oci.config import ImageConfig
from layerstore.oci.document import Json, as_object, dump

_ALLOWED = (
    Cmd | Entrypoint | Env | Expose | Healthcheck | Label | OnBuild | StopSignal | User | Volume | Workdir
)
_KNOWN = frozenset(
    {"User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels", "StopSignal"}
    | {"Healthcheck", "Shell", "OnBuild"}
)
"""The fields that an `ImageState` has; what else a configuration says stays as it is."""


def apply_changes(config: Mapping[str, Json], changes: Iterable[str]) -> dict[str, Json]:
    """The object ``config`` of an image configuration, changed by each instruction in turn.

    Raises `UsageError` for an instruction that is not allowed or malformed.
    """
    state, has_own_cmd = ImageState.of_image(ImageConfig.parse(dump({"config": dict(config)}))), False
    for change in changes:
        try:
            instruction, escape = _parsed(change)
            expanded, _ = expand_instruction(
                instruction, state.variables(), escape=escape, workdir=state.working_dir
            )
            state = apply_metadata(state, expanded, has_own_cmd=has_own_cmd)
        except (InvalidInput, LimitExceeded) as error:
            problem = error.problem if isinstance(error, DockerfileError) else error.message
            raise UsageError(f"invalid change {change[:200]!r}: {problem}", hint=error.hint) from error
        has_own_cmd = has_own_cmd or isinstance(instruction, Cmd)
    changed = as_object(state.document(base=(), layers=(), created="")["config"])
    return {**{key: value for key, value in config.items() if key not in _KNOWN}, **changed}


def _parsed(change: str) -> tuple[Instruction, str]:
    """The one instruction that `change` is, and the escape character that holds in it. Raises `InvalidInput`."""
    source = Source.parse(change.encode("utf-8", "surrogateescape"), "--change")
    lexed = lex(source)
    if len(lexed.lines) != 1:
        raise InvalidInput("it is not one instruction")
    instruction = interpret(Statement.parse(source, lexed.lines[0], lexed.escape))
    if not isinstance(instruction, _ALLOWED):
        raise InvalidInput(f"{instruction.name} cannot change an image")
    return instruction, lexed.escape
