"""A Dockerfile's text into its stages of instructions. The language's entry point.

Parse errors carry file, line and column; what only a build knows (values of variables, images) is checked
by `layerstore.build.evaluate` and `layerstore.build.stages`.
"""

from typing import Final

from layerstore.build.instruction import Arg, From, Instruction
from layerstore.build.interpret import interpret
from layerstore.build.lexer import Directive, LexedFile, lex
from layerstore.build.source import Position, Source
from layerstore.build.statement import Statement
from layerstore.dataclass import dataclass
from layerstore.errors import DockerfileError, InvalidDocument, LimitExceeded

MAX_INSTRUCTIONS: Final = 4096
"""Of one Dockerfile: as many as an image's history may have entries (`layerstore.oci.config`)."""


@dataclass(frozen=True, slots=True)
class ParsedStage:
    """One FROM and what follows it."""

    start: From
    instructions: tuple[Instruction, ...]


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """A whole file, parsed."""

    source: Source
    lexed: LexedFile
    global_arguments: tuple[Arg, ...]
    """The ARGs before the first FROM."""
    stages: tuple[ParsedStage, ...]
    """At least one."""

    @property
    def escape(self) -> str:
        """The escape character."""
        return self.lexed.escape

    def directive(self, name: str) -> Directive | None:
        """``# name=value`` at the top of the file."""
        return self.lexed.directive(name)


def parse(source: Source) -> Dockerfile:
    """The Dockerfile that `source` spells. Raises `DockerfileError`, `LimitExceeded`."""
    lexed = lex(source)
    if not lexed.lines:
        raise source.error(Position(1, 1), "file with no instructions")
    if len(lexed.lines) > MAX_INSTRUCTIONS:
        raise LimitExceeded(f"{source.name} has {len(lexed.lines)} instructions, over {MAX_INSTRUCTIONS}")
    global_arguments: list[Arg] = []
    stages: list[tuple[From, list[Instruction]]] = []
    for line in lexed.lines:
        instruction = interpret(Statement.parse(source, line, lexed.escape))
        if isinstance(instruction, From):
            stages.append((instruction, []))
        elif stages:
            stages[-1][1].append(instruction)
        elif isinstance(instruction, Arg):
            global_arguments.append(instruction)
        else:
            raise instruction.origin.error(
                f"no build stage in current context: {instruction.name} before FROM"
            )
    if not stages:
        raise source.error(lexed.lines[-1].position(0), "dockerfile contains no stages to build")
    parsed = tuple(ParsedStage(start, tuple(instructions)) for start, instructions in stages)
    return Dockerfile(source, lexed, tuple(global_arguments), parsed)


def parse_trigger(text: str, origin: str) -> Instruction:
    """The instruction of an ONBUILD trigger that stands in an image's configuration; `origin` names the image.

    Raises `InvalidDocument` for text that is no single instruction.
    """
    source = Source.parse(text.encode(), f"ONBUILD of {origin}")
    try:
        lexed = lex(source)
        if len(lexed.lines) != 1:
            raise InvalidDocument(f"onbuild trigger of {origin} should be a single expression: {text[:80]!r}")
        instruction = interpret(Statement.parse(source, lexed.lines[0], lexed.escape))
    except DockerfileError as error:
        raise InvalidDocument(error.message) from error
    if instruction.name in ("FROM", "MAINTAINER", "ONBUILD"):
        raise InvalidDocument(
            f"{instruction.name} isn't allowed as an ONBUILD trigger, but is one of {origin}"
        )
    return instruction
