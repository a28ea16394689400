"""Stages as a graph: what each is based on, what it copies from, and which of them a target needs.

FROM and ``--from`` name a stage, else a named context (``--build-context``), else an image. Triggers of
base images (ONBUILD) come in once somebody has read the images' configurations: `StageGraph.with_triggers`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from layerstore.build.arguments import BuildArguments, global_scope
from layerstore.build.expand import ShellLexer
from layerstore.build.go_text import parse_natural
from layerstore.build.instruction import Copy, From, Instruction, OnBuild, Run
from layerstore.build.parser import Dockerfile, parse_trigger
from layerstore.build.suggestion import did_you_mean
from layerstore.dataclass import dataclass, field, replace
from layerstore.errors import InvalidInput, InvalidPlatform, NotFound
from layerstore.oci.platform import Platform

SCRATCH: Final = "scratch"


@dataclass(frozen=True, slots=True)
class Scratch:
    """The empty file system."""


@dataclass(frozen=True, slots=True)
class StageSource:
    """The result of the stage with that number."""

    index: int


@dataclass(frozen=True, slots=True)
class NamedContext:
    """What ``--build-context name=…`` gives."""

    name: str


@dataclass(frozen=True, slots=True)
class ImageSource:
    """An image, by its reference as written; for the stage's `Stage.platform`."""

    reference: str


Origin = Scratch | StageSource | NamedContext | ImageSource


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage, names resolved."""

    index: int
    start: From
    base: Origin
    platform: Platform | None
    """What FROM's ``--platform`` says; None for the target platform, or its base stage's."""
    instructions: tuple[Instruction, ...]
    """As written, triggers of the base first."""
    origins: tuple[tuple[Origin, ...], ...]
    """For each instruction where it takes files from by ``--from``: COPY one, RUN one for each mount that has one."""
    undefined: tuple[str, ...] = field(default=(), compare=False)
    """Variables that FROM names and nobody declared."""

    @property
    def name(self) -> str:
        """Its name, or ``stage-N``."""
        return self.start.alias or f"stage-{self.index}"

    @property
    def needs(self) -> tuple[int, ...]:
        """The numbers of the stages whose results it takes, ascending."""
        sources = {self.base, *(origin for origins in self.origins for origin in origins)}
        return tuple(sorted(source.index for source in sources if isinstance(source, StageSource)))

    @property
    def images(self) -> tuple[str, ...]:
        """The images it takes files from or starts with, in order, each once."""
        sources = (self.base, *(origin for origins in self.origins for origin in origins))
        return tuple(dict.fromkeys(each.reference for each in sources if isinstance(each, ImageSource)))


@dataclass(frozen=True, slots=True)
class StageGraph:
    """All stages of one Dockerfile under one set of build arguments."""

    stages: tuple[Stage, ...]
    escape: str
    scope: Mapping[str, str]
    """What FROM lines see; a stage's ARG without a default looks here."""
    contexts: frozenset[str] = frozenset()

    @classmethod
    def build(
        cls, dockerfile: Dockerfile, arguments: BuildArguments, *, contexts: Iterable[str] = ()
    ) -> "StageGraph":
        """The graph; `contexts` are the names of ``--build-context``, which come before stages and images.

        Raises `DockerfileError`: empty bases, unknown numbers, stages used before they are defined.
        """
        scope = global_scope(dockerfile, arguments)
        names = frozenset(name.lower() for name in contexts)
        resolver = _Resolver(dockerfile, scope, names)
        return cls(tuple(resolver.stages()), dockerfile.escape, scope, names)

    def target(self, name: str = "") -> Stage:
        """The stage of that name or number, the last one by default. Raises `NotFound`."""
        if not name:
            return self.stages[-1]
        found = [stage for stage in self.stages if stage.start.alias == name.lower()]
        if found:
            return found[-1]
        number = parse_natural(name, len(self.stages) - 1)
        if number is not None:
            return self.stages[number]
        suggestion = did_you_mean(name, (stage.start.alias for stage in self.stages if stage.start.alias))
        raise NotFound(f"target stage {name!r} could not be found{suggestion}")

    def needed(self, target: Stage) -> tuple[Stage, ...]:
        """`target` and all stages it takes something from, in the order of the file: needs come first."""
        found: set[int] = set()
        pending = [target.index]
        while pending:
            index = pending.pop()
            if index not in found:
                found.add(index)
                pending += self.stages[index].needs
        return tuple(self.stages[index] for index in sorted(found))

    def with_triggers(self, index: int, triggers: Sequence[str], image: str) -> "StageGraph":
        """The graph with the ONBUILD `triggers` of the base `image` of stage `index` put before its instructions.

        They may need further stages and images, which then appear in `Stage.origins`. Raises `InvalidDocument`
        for triggers that are no instructions, `DockerfileError` for stages that they name too early.
        """
        stage = self.stages[index]
        added = tuple(parse_trigger(text, image) for text in triggers)
        names = {each.start.alias: each.index for each in self.stages if each.start.alias}
        known = {each.start.alias: each.index for each in self.stages[:index] if each.start.alias}
        lookup = _Lookup(known, names, len(self.stages), index, self.contexts)
        origins = tuple(lookup.origins(instruction) for instruction in added)
        fired = replace(
            stage,
            instructions=added + stage.instructions,
            origins=origins + stage.origins,
        )
        return replace(self, stages=(*self.stages[:index], fired, *self.stages[index + 1 :]))


class _Resolver:
    """Walks the file's stages in order, as names mean the stages before them."""

    def __init__(self, dockerfile: Dockerfile, scope: Mapping[str, str], contexts: frozenset[str]) -> None:
        self._dockerfile = dockerfile
        self._scope = scope
        self._contexts = contexts
        self._lexer = ShellLexer(dockerfile.escape)
        self._all = {
            each.start.alias: number for number, each in enumerate(dockerfile.stages) if each.start.alias
        }
        self._triggers: list[tuple[Instruction, ...]] = []

    def stages(self) -> Iterator[Stage]:
        known: dict[str, int] = {}
        for index, parsed in enumerate(self._dockerfile.stages):
            lookup = _Lookup(known, self._all, len(self._dockerfile.stages), index, self._contexts)
            image, platform, undefined = self._expanded(parsed.start)
            base = lookup.base(image, parsed.start.alias)
            fired = self._triggers[base.index] if isinstance(base, StageSource) else ()
            instructions = fired + parsed.instructions
            self._triggers.append(
                tuple(each.instruction for each in parsed.instructions if isinstance(each, OnBuild))
            )
            if isinstance(base, NamedContext) and base.name == parsed.start.alias:
                instructions = ()  # the context takes the place of the whole stage
            origins = tuple(lookup.origins(instruction) for instruction in instructions)
            yield Stage(index, parsed.start, base, platform, instructions, origins, undefined)
            if parsed.start.alias:
                known[parsed.start.alias] = index

    def _expanded(self, start: From) -> tuple[str, Platform | None, tuple[str, ...]]:
        """The base's name, the platform, and which variables in them nobody declared."""
        try:
            image = self._lexer.expand(start.image, self._scope)
            platform = self._lexer.expand(start.platform, self._scope)
        except InvalidInput as error:
            raise start.origin.error(error.message) from error
        undefined = sorted(image.unmatched | platform.unmatched)
        suggestion = did_you_mean(undefined[0], self._scope, sign="$") if undefined else ""
        if not image.text:
            raise start.origin.error(f"base name ({start.image}) should not be blank{suggestion}")
        if start.platform and not platform.text:
            raise start.origin.error(f"empty platform value from expression {start.platform}{suggestion}")
        return image.text, self._platform(start, platform.text), tuple(undefined)

    def _platform(self, start: From, text: str) -> Platform | None:
        try:
            return Platform.parse(text) if text else None
        except InvalidPlatform as error:
            raise start.origin.error(error.message, hint=error.hint) from error


@dataclass(frozen=True, slots=True)
class _Lookup:
    """What names mean in one stage."""

    known: Mapping[str, int]
    """The stages before it."""
    all: Mapping[str, int]
    """All stages of the file."""
    count: int
    index: int
    contexts: frozenset[str]

    def base(self, image: str, alias: str) -> Origin:
        """What FROM starts with."""
        if alias in self.contexts:
            return NamedContext(alias)
        if image.lower() in self.contexts and image != SCRATCH:
            return NamedContext(image.lower())
        if image.lower() in self.known:
            return StageSource(self.known[image.lower()])
        return Scratch() if image == SCRATCH else ImageSource(image)

    def origins(self, instruction: Instruction) -> tuple[Origin, ...]:
        """Where `instruction` takes files from by ``--from``."""
        match instruction:
            case Copy():
                names = [instruction.source_stage]
            case Run():
                names = [mount.origin for mount in instruction.mounts]
            case _:
                names = []
        return tuple(self._origin(name, instruction) for name in names if name)

    def _origin(self, name: str, instruction: Instruction) -> Origin:
        lower = name.lower()
        if lower in self.contexts and lower != SCRATCH:
            return NamedContext(lower)
        if lower in self.known:
            return StageSource(self.known[lower])
        if name.isascii() and name.isdigit():
            return self._numbered(name, instruction)
        if lower in self.all:
            self._refuse(name, self.all[lower], instruction)
        return Scratch() if name == SCRATCH else ImageSource(name)

    def _numbered(self, name: str, instruction: Instruction) -> Origin:
        number = parse_natural(name, self.count - 1)
        if number is None:
            problem = f"invalid stage index {name[:20]}: the file has {self.count} stages, counted from 0"
            raise instruction.origin.error(problem)
        if number >= self.index:
            self._refuse(name, number, instruction)
        return StageSource(number)

    def _refuse(self, name: str, number: int, instruction: Instruction) -> None:
        if number == self.index:
            raise instruction.origin.error(f"circular dependency detected on stage: {name}")
        raise instruction.origin.error(
            f"cannot copy from stage {name!r}, it needs to be defined before the current stage"
        )
