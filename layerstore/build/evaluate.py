"""A stage into steps: variables expanded, environment and image known before and after each.

Nothing here depends on what a step does when it is run, so that a whole stage can be evaluated, and all its
keys computed, before anything is executed.
"""

from collections.abc import Mapping

from layerstore.build.arguments import NO_ENVIRONMENT, BuildArguments
from layerstore.build.expand import ShellLexer
from layerstore.build.expand_instruction import expand_instruction
from layerstore.build.history import argument_line, created_by
from layerstore.build.image_state import ImageState, apply_metadata
from layerstore.build.instruction import Add, Arg, Cmd, Copy, Declaration, Env, Instruction, Run, Workdir
from layerstore.build.stages import Origin, Stage, StageGraph
from layerstore.dataclass import dataclass, replace
from layerstore.errors import InvalidInput, LimitExceeded
from layerstore.oci.document import MAX_DOCUMENT


@dataclass(frozen=True, slots=True)
class StageState:
    """What a step starts with."""

    image: ImageState
    variables: Mapping[str, str]
    """What expansion and RUN see: the image's environment and the ARGs, the later of equals."""
    arguments: tuple[tuple[str, str | None], ...] = ()
    """The ARGs declared so far."""

    @classmethod
    def of_base(cls, image: ImageState) -> "StageState":
        """The start of a stage on an image, or on `ImageState.scratch`."""
        base = image.as_base()
        return cls(base, base.variables())

    def as_base(self) -> "StageState":
        """The start of a stage on this stage: its ARGs stay in scope, its triggers have been taken over."""
        return replace(self, image=self.image.as_base())


@dataclass(frozen=True, slots=True)
class Step:
    """One instruction, ready to be executed."""

    instruction: Instruction
    """With all variables expanded."""
    before: StageState
    after: StageState
    origins: tuple[Origin, ...]
    """Where it takes files from by ``--from``."""
    makes_layer: bool
    undefined: frozenset[str] = frozenset()
    """Variables that it names and nobody set."""

    @property
    def command(self) -> tuple[str, ...]:
        """What RUN executes, shell included; empty for others."""
        if not isinstance(self.instruction, Run):
            return ()
        return self.instruction.command.with_shell(self.before.image.command_shell)


@dataclass(frozen=True, slots=True)
class EvaluatedStage:
    """A stage, what it starts with, and its steps."""

    stage: Stage
    start: StageState
    steps: tuple[Step, ...]

    @property
    def after(self) -> StageState:
        """What it comes to."""
        return self.steps[-1].after if self.steps else self.start


def evaluate(
    stage: Stage, base: StageState, graph: StageGraph, arguments: BuildArguments
) -> tuple[Step, ...]:
    """The steps of `stage`, which starts with `base`. Its result is the last one's `Step.after`, or without any
    step `base` itself.

    Raises `DockerfileError` for what is wrong once variables are expanded, `LimitExceeded` for histories that
    no configuration could hold.
    """
    steps: list[Step] = []
    left = MAX_DOCUMENT
    state, has_own_cmd = base, False
    for instruction, origins in zip(stage.instructions, stage.origins, strict=True):
        if isinstance(instruction, Arg):
            step = _declare(instruction, state, graph, arguments)
        else:
            step = _expand(instruction, state, graph.escape, has_own_cmd=has_own_cmd)
        steps.append(replace(step, origins=origins))
        left -= sum(len(entry.created_by) for entry in step.after.image.history[len(state.image.history) :])
        if left < 0:
            raise LimitExceeded(f"cannot build {stage.name}: its history has more than {MAX_DOCUMENT} bytes")
        state, has_own_cmd = step.after, has_own_cmd or isinstance(instruction, Cmd)
    return tuple(steps)


def _expand(instruction: Instruction, before: StageState, escape: str, *, has_own_cmd: bool) -> Step:
    expanded, undefined = expand_instruction(
        instruction, before.variables, escape=escape, workdir=before.image.working_dir
    )
    try:
        image = apply_metadata(before.image, expanded, has_own_cmd=has_own_cmd)
    except InvalidInput as error:
        raise instruction.origin.error(error.message) from error
    makes_layer = isinstance(expanded, Run | Copy | Add) or (
        isinstance(expanded, Workdir) and image.working_dir != "/"
    )
    line = created_by(expanded, image, before.arguments, before.variables)
    if line is not None:
        image = image.record(line, has_layer=makes_layer)
    variables = before.variables
    if isinstance(expanded, Env):
        variables = {**variables, **{pair.key: pair.value for pair in expanded.pairs}}
    after = StageState(image, variables, before.arguments)
    return Step(expanded, before, after, (), makes_layer, undefined=undefined)


def _declare(arg: Arg, before: StageState, graph: StageGraph, arguments: BuildArguments) -> Step:
    """ARG: a given value, else its default, else what an ARG before FROM has."""
    lexer = ShellLexer(graph.escape)
    variables = dict(before.variables)
    declared: list[tuple[str, str | None]] = []
    undefined: set[str] = set()
    for declaration in arg.declarations:
        value = arguments.given.get(declaration.key)
        if value is None and declaration.default is not None:
            try:
                expansion = lexer.expand(declaration.default, variables)
            except (InvalidInput, LimitExceeded) as error:
                raise arg.origin.error(error.message) from error
            value = expansion.text
            undefined |= expansion.unmatched
        elif value is None:
            value = graph.scope.get(declaration.key)
        if value is not None and declaration.key not in NO_ENVIRONMENT:
            variables[declaration.key] = value
        declared.append((declaration.key, value))
    expanded = replace(arg, declarations=tuple(Declaration(key, value) for key, value in declared))
    image = before.image.record(argument_line(declared))
    after = StageState(image, variables, (*before.arguments, *declared))
    return Step(expanded, before, after, (), makes_layer=False, undefined=frozenset(undefined))
