"""What is legal in a Dockerfile and yet likely a mistake: BuildKit's build checks over parsed values.

`check_build` does them all. `check_file` needs the text alone, `check_graph` the build arguments too,
`check_base` a base image's platform, `check_steps` an evaluated stage.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Protocol

from layerstore.build.arguments import BuildArguments, global_scope
from layerstore.build.evaluate import EvaluatedStage, Step
from layerstore.build.expand import ShellLexer
from layerstore.build.go_text import quote
from layerstore.build.instruction import (
    Add,
    Arg,
    Cmd,
    Copy,
    DefaultCommand,
    Entrypoint,
    Env,
    Expose,
    From,
    Healthcheck,
    Instruction,
    Maintainer,
    Pairs,
    Workdir,
)
from layerstore.build.lint_rules import RULES, LintOptions, LintWarning
from layerstore.build.parser import Dockerfile
from layerstore.build.ports import parse_port
from layerstore.build.source_kind import SourceKind, source_kind
from layerstore.build.stages import SCRATCH, ImageSource, Stage, StageGraph
from layerstore.build.statement import Statement
from layerstore.build.suggestion import did_you_mean
from layerstore.errors import DockerfileError, InvalidInput, InvalidReference, UsageError
from layerstore.oci.platform import Platform
from layerstore.oci.reference import Reference

_SECRET: Final = re.compile(
    r"(?:_|^)(?:apikey|auth|credential|credentials|key|password|pword|passwd|secret|token)(?:_|$)",
    re.IGNORECASE,
)
_PUBLIC: Final = re.compile(r"(?:_|^)public(?:_|$)", re.IGNORECASE)
_RESERVED: Final = frozenset({"context", SCRATCH})
_TARGET_PLATFORM: Final = "TARGETPLATFORM"
_NOTHING_GIVEN: Final[Mapping[str, str]] = {}
_OPTIONS: Final = "BUILDKIT_DOCKERFILE_CHECK"
"""The build argument that takes the place of ``# check=``."""
_ONCE: Final = (Cmd, Entrypoint, Healthcheck)


class Ignored(Protocol):
    """Knows what a .dockerignore leaves out: `layerstore.build.dockerignore.IgnoreMatcher`."""

    def excludes(self, path: str) -> bool:
        """Whether `path`, or a directory above it, is left out."""
        ...


def check_build(
    dockerfile: Dockerfile,
    graph: StageGraph,
    arguments: BuildArguments,
    stages: Iterable[EvaluatedStage],
    ignored: Ignored | None = None,
) -> tuple[LintWarning, ...]:
    """What all checks show of a build of `stages`, as far as it is asked for, in the order of the file.

    Raises `DockerfileError` and `UsageError` for options that are none.
    """
    found = [*check_file(dockerfile), *check_graph(dockerfile, graph, arguments)]
    for each in stages:
        if isinstance(each.stage.base, ImageSource):
            expected = each.stage.platform or arguments.target_platform
            found += check_base(each.stage, expected, each.start.image.platform)
        found += check_steps(each.steps, ignored)
    return selected(found, options_of(dockerfile, arguments.given))


def refuse(warnings: Sequence[LintWarning], options: LintOptions) -> None:
    """Raise `DockerfileError` for `warnings` where the options make them errors."""
    if options.is_error and warnings:
        names = ", ".join(dict.fromkeys(each.rule.name for each in warnings))
        message = f"lint violation found for rules: {names}"
        raise warnings[0].source.error(
            warnings[0].position, message, hint="the same with --check, to see them all"
        )


def options_of(dockerfile: Dockerfile, given: Mapping[str, str] = _NOTHING_GIVEN) -> LintOptions:
    """What the build argument ``BUILDKIT_DOCKERFILE_CHECK`` says, else the file's own ``# check=``.

    Raises `DockerfileError`, for the argument `UsageError`.
    """
    if _OPTIONS in given:
        try:
            return LintOptions.parse(given[_OPTIONS])
        except InvalidInput as error:
            raise UsageError(f"invalid build argument {_OPTIONS}: {error.message}") from error
    directive = dockerfile.directive("check")
    if directive is None:
        return LintOptions()
    try:
        return LintOptions.parse(directive.value)
    except InvalidInput as error:
        raise dockerfile.source.error(directive.position, error.message) from error


def selected(warnings: Iterable[LintWarning], options: LintOptions) -> tuple[LintWarning, ...]:
    """Those of `warnings` that count, in the order of the file, each once."""
    unique = dict.fromkeys(warning for warning in warnings if options.counts(warning.rule))
    return tuple(sorted(unique, key=lambda warning: (warning.position, warning.rule.name, warning.message)))


def _warn(rule: str, message: str, statement: Statement) -> LintWarning:
    return LintWarning(RULES[rule], message, statement.source, statement.position)


def check_file(dockerfile: Dockerfile) -> Iterator[LintWarning]:
    """What the text shows by itself."""
    for line in dockerfile.lexed.lines:
        if line.empty_continuation is not None:
            rule = RULES["NoEmptyContinuation"]
            yield LintWarning(rule, "Empty continuation line", dockerfile.source, line.empty_continuation)
    yield from _check_keyword_casing(dockerfile)
    yield from _check_stage_names(dockerfile)
    for arg in dockerfile.global_arguments:
        yield from _check_arg(arg)


def _check_keyword_casing(dockerfile: Dockerfile) -> Iterator[LintWarning]:
    statements = [each.origin for stage in dockerfile.stages for each in (stage.start, *stage.instructions)]
    keywords = [statement.keyword.text for statement in statements]
    lower = sum(keyword.islower() for keyword in keywords)
    is_lower = lower > sum(keyword.isupper() for keyword in keywords)
    casing = "lowercase" if is_lower else "uppercase"
    for statement, keyword in zip(statements, keywords, strict=True):
        if not (keyword.islower() if is_lower else keyword.isupper()):
            message = f"Command '{keyword}' should match the case of the command majority ({casing})"
            yield _warn("ConsistentInstructionCasing", message, statement)


def _check_stage_names(dockerfile: Dockerfile) -> Iterator[LintWarning]:
    seen: set[str] = set()
    for start in (stage.start for stage in dockerfile.stages if stage.start.alias):
        origin, name = start.origin, start.alias
        if name in _RESERVED:
            message = f"Stage name should not use the same name as reserved stage {quote(name)}"
            yield _warn("ReservedStageName", message, origin)
        if name in seen:
            message = f"Duplicate stage name {quote(name)}, stage names should be unique"
            yield _warn("DuplicateStageName", message, origin)
        seen.add(name)
        yield from _check_from_words(start)
        yield from _check_description("FROM", [name], origin)


def _check_from_words(start: From) -> Iterator[LintWarning]:
    origin = start.origin
    _, keyword, written = origin.rest.text.split()
    if written != start.alias:
        yield _warn("StageNameCasing", f"Stage name '{written}' should be lowercase", origin)
    own = origin.keyword.text
    if (own.islower() and not keyword.islower()) or (own.isupper() and not keyword.isupper()):
        yield _warn("FromAsCasing", f"'{keyword}' and '{own}' keywords' casing do not match", origin)


def _check_description(keyword: str, names: Sequence[str], statement: Statement) -> Iterator[LintWarning]:
    comments = statement.line.comments
    if not comments or comments[-1].split(" ")[0] in names:
        return
    example = names[0] if len(names) == 1 else "<arg_key>"
    message = f"Comment for {keyword} should follow the format: `# {example} <description>`"
    yield _warn("InvalidDefinitionDescription", message, statement)


def _check_arg(arg: Arg) -> Iterator[LintWarning]:
    keys = [declaration.key for declaration in arg.declarations]
    yield from _check_description("ARG", keys, arg.origin)
    yield from _check_secrets("ARG", keys, arg)


def _check_secrets(keyword: str, keys: Iterable[str], instruction: Instruction) -> Iterator[LintWarning]:
    for key in keys:
        if _SECRET.search(key) and not _PUBLIC.search(key):
            message = f"Do not use ARG or ENV instructions for sensitive data ({keyword} {quote(key)})"
            yield _warn("SecretsUsedInArgOrEnv", message, instruction.origin)


def check_graph(
    dockerfile: Dockerfile, graph: StageGraph, arguments: BuildArguments
) -> Iterator[LintWarning]:
    """What the FROM lines show under `arguments`."""
    for stage in graph.stages:
        for name in stage.undefined:
            suggestion = did_you_mean(name, graph.scope)
            message = f"FROM argument '{name}' is not declared{suggestion}"
            yield _warn("UndefinedArgInFrom", message, stage.start.origin)
        yield from _check_platform(stage, graph)
    yield from _check_defaults(dockerfile, arguments)


def _check_platform(stage: Stage, graph: StageGraph) -> Iterator[LintWarning]:
    if not stage.start.platform:
        return
    start, found = stage.start, ShellLexer(graph.escape).expand(stage.start.platform, graph.scope)
    if (
        found.matched == {_TARGET_PLATFORM}
        and not found.unmatched
        and found.text == graph.scope[_TARGET_PLATFORM]
    ):
        message = f"Setting platform to predefined {start.platform} in FROM is redundant"
        yield _warn("RedundantTargetPlatform", f"{message} as this is the default behavior", start.origin)
    if not found.matched and not found.unmatched:
        platform = Platform.parse(found.text)
        if platform.os not in start.alias and platform.architecture not in start.alias:
            message = f"FROM --platform flag should not use constant value {quote(found.text)}"
            yield _warn("FromPlatformFlagConstDisallowed", message, start.origin)


def check_base(stage: Stage, expected: Platform, actual: Platform) -> Iterator[LintWarning]:
    """What the base image's configuration shows: it may be for another platform than was asked for."""
    if (expected.os, expected.architecture) != (actual.os, actual.architecture):
        message = f"Base image {stage.start.image} was pulled with platform {quote(str(actual))}"
        message = f"{message}, expected {quote(str(expected))} for current build"
        yield _warn("InvalidBaseImagePlatform", message, stage.start.origin)


def _check_defaults(dockerfile: Dockerfile, arguments: BuildArguments) -> Iterator[LintWarning]:
    """Bases that are no image's name as long as nobody gives a ``--build-arg``."""
    defaults = BuildArguments({}, arguments.target_platform, arguments.build_platform, arguments.target)
    try:
        scope = global_scope(dockerfile, defaults)
    except DockerfileError:
        return  # an argument without which the file is invalid: the build itself was given it
    lexer = ShellLexer(dockerfile.escape)
    for stage in dockerfile.stages:
        try:
            Reference.parse(lexer.expand(stage.start.image, scope).text)
        except (InvalidReference, InvalidInput):
            message = f"Default value for ARG {stage.start.image} results in empty or invalid base image name"
            yield _warn("InvalidDefaultArgInFrom", message, stage.start.origin)


def check_steps(steps: Sequence[Step], ignored: Ignored | None = None) -> Iterator[LintWarning]:
    """What an evaluated stage shows; `ignored` is for copies from the build context."""
    yield from _check_once(steps)
    has_workdir = False
    for step in steps:
        instruction = step.instruction
        yield from _check_variables(step)
        yield from _check_form(step)
        if isinstance(instruction, Workdir):
            if not has_workdir and not instruction.path.startswith("/"):
                message = f"Relative workdir {quote(instruction.path)} can have unexpected results"
                yield _warn("WorkdirRelativePath", f"{message} if the base image changes", instruction.origin)
            has_workdir = True
        if isinstance(instruction, Expose):
            yield from _check_ports(instruction)
        if isinstance(instruction, Copy | Add) and ignored is not None and not step.origins:
            yield from _check_ignored(instruction, ignored)


def _check_once(steps: Sequence[Step]) -> Iterator[LintWarning]:
    for kind in _ONCE:
        several = [step.instruction for step in steps if isinstance(step.instruction, kind)]
        for overridden in several[:-1]:
            name = overridden.origin.keyword.text
            message = f"Multiple {name} instructions should not be used in the same stage"
            reason = "because only the last one will be used"
            yield _warn("MultipleInstructionsDisallowed", f"{message} {reason}", overridden.origin)


def _check_variables(step: Step) -> Iterator[LintWarning]:
    declared = {key for key, _ in step.before.arguments}
    for name in sorted(step.undefined - declared):
        suggestion = did_you_mean(name, step.before.variables, sign="$")
        message = f"Usage of undefined variable '${name}'{suggestion}"
        yield _warn("UndefinedVar", message, step.instruction.origin)


def _check_form(step: Step) -> Iterator[LintWarning]:
    instruction, origin = step.instruction, step.instruction.origin
    match instruction:
        case DefaultCommand() if instruction.command.is_shell and not step.before.image.shell:
            message = f"JSON arguments recommended for {origin.keyword.text} to prevent unintended behavior"
            yield _warn("JSONArgsRecommended", f"{message} related to OS signals", origin)
        case Maintainer():
            message = "Maintainer instruction is deprecated in favor of using label"
            yield _warn("MaintainerDeprecated", message, origin)
        case Arg():
            yield from _check_arg(instruction)
        case Pairs():
            if not all(pair.has_equals for pair in instruction.pairs):
                name = origin.keyword.text
                message = f'"{name} key=value" should be used instead of legacy "{name} key value" format'
                yield _warn("LegacyKeyValueFormat", message, origin)
            if isinstance(instruction, Env):
                yield from _check_secrets("ENV", (pair.key for pair in instruction.pairs), instruction)


def _check_ports(expose: Expose) -> Iterator[LintWarning]:
    for text in expose.ports:
        protocol = text.partition("/")[2]
        if protocol != protocol.lower():
            message = f"Defined protocol '{text}' in EXPOSE instruction should be lowercase"
            yield _warn("ExposeProtoCasing", message, expose.origin)
        if parse_port(text).has_host_part:
            message = "EXPOSE instruction should not define an IP address or host-port mapping"
            yield _warn("ExposeInvalidFormat", f"{message}, found '{text}'", expose.origin)


def _check_ignored(transfer: Copy | Add, ignored: Ignored) -> Iterator[LintWarning]:
    word = "Copy" if isinstance(transfer, Copy) else "Add"
    for source in transfer.sources:
        if source_kind(source) is SourceKind.PATH and ignored.excludes(source):
            message = f"Attempting to {word} file {quote(source)} that is excluded by .dockerignore"
            yield _warn("CopyIgnoredFile", message, transfer.origin)
