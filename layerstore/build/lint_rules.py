"""BuildKit's build checks: names, texts, and how ``# check=`` and ``BUILDKIT_DOCKERFILE_CHECK`` choose among them."""

from collections.abc import Iterable
from typing import Final

from layerstore.build.go_text import parse_boolean
from layerstore.build.source import Position, Source
from layerstore.build.suggestion import did_you_mean
from layerstore.dataclass import dataclass
from layerstore.errors import InvalidInput

_URL: Final = "https://docs.docker.com/go/dockerfile/rule/"


@dataclass(frozen=True, slots=True)
class Rule:
    """One check."""

    name: str
    description: str
    slug: str
    is_experimental: bool = False

    @property
    def url(self) -> str:
        """Where docker explains it."""
        return f"{_URL}{self.slug}/" if self.slug else ""


_TABLE: Final = """
StageNameCasing|stage-name-casing|Stage names should be lowercase
FromAsCasing|from-as-casing|The 'as' keyword should match the case of the 'from' keyword
NoEmptyContinuation|no-empty-continuation|Empty continuation lines will become errors in a future release
ConsistentInstructionCasing|consistent-instruction-casing|All commands within the Dockerfile should use the same \
casing (either upper or lower)
DuplicateStageName|duplicate-stage-name|Stage names should be unique
ReservedStageName|reserved-stage-name|Reserved words should not be used as stage names
JSONArgsRecommended|json-args-recommended|JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended \
behavior related to OS signals
MaintainerDeprecated|maintainer-deprecated|The MAINTAINER instruction is deprecated, use a label instead to define \
an image author
UndefinedArgInFrom|undefined-arg-in-from|FROM command must use declared ARGs
WorkdirRelativePath|workdir-relative-path|Relative workdir without an absolute workdir declared within the build \
can have unexpected results if the base image changes
UndefinedVar|undefined-var|Variables should be defined before their use
MultipleInstructionsDisallowed|multiple-instructions-disallowed|Multiple instructions of the same type should not \
be used in the same stage
LegacyKeyValueFormat|legacy-key-value-format|Legacy key/value format with whitespace separator should not be used
InvalidBaseImagePlatform||Base image platform does not match expected target platform
RedundantTargetPlatform|redundant-target-platform|Setting platform to predefined $TARGETPLATFORM in FROM is \
redundant as this is the default behavior
SecretsUsedInArgOrEnv|secrets-used-in-arg-or-env|Sensitive data should not be used in the ARG or ENV commands
InvalidDefaultArgInFrom|invalid-default-arg-in-from|Default value for global ARG results in an empty or invalid \
base image name
FromPlatformFlagConstDisallowed|from-platform-flag-const-disallowed|FROM --platform flag should not use a constant \
value
CopyIgnoredFile|copy-ignored-file|Attempting to Copy file that is excluded by .dockerignore
InvalidDefinitionDescription|invalid-definition-description|Comment for build stage or argument should follow the \
format: `# <arg/stage name> <description>`. If this is not intended to be a description comment, add an empty line \
or comment between the instruction and the comment.
ExposeProtoCasing|expose-proto-casing|Protocol in EXPOSE instruction should be lowercase
ExposeInvalidFormat|expose-invalid-format|IP address and host-port mapping should not be used in EXPOSE \
instruction. This will become an error in a future release
"""
_EXPERIMENTAL: Final = frozenset({"InvalidDefinitionDescription"})


def _read_table() -> dict[str, Rule]:
    rows = (line.split("|") for line in _TABLE.strip().splitlines())
    return {name: Rule(name, text, slug, name in _EXPERIMENTAL) for name, slug, text in rows}


RULES: Final = _read_table()
"""By name."""


@dataclass(frozen=True, slots=True)
class LintWarning:
    """One thing that a check found."""

    rule: Rule
    message: str
    source: Source
    position: Position

    def __str__(self) -> str:
        return f"{self.rule.name}: {self.message} ({self.source.name}:{self.position.line})"


@dataclass(frozen=True, slots=True)
class LintOptions:
    """Which checks count, from ``skip=A,B;experimental=all;error=true``."""

    skip: frozenset[str] = frozenset()
    experimental: frozenset[str] = frozenset()
    is_error: bool = False
    """Whether a build with warnings fails."""

    @classmethod
    def parse(cls, text: str) -> "LintOptions":
        """The options that `text` spells. Raises `InvalidInput`."""
        values = {"skip": "", "experimental": "", "error": "false"}
        for part in filter(None, (part.strip() for part in text.split(";"))):
            key, equals, value = part.partition("=")
            if not equals or key.strip() not in values:
                raise InvalidInput(f"invalid check option {part!r}{did_you_mean(key, values)}")
            values[key.strip()] = value.strip()
        is_error = parse_boolean(values["error"])
        if is_error is None:
            raise InvalidInput(f"invalid check option error={values['error']!r}: true or false is wanted")
        return cls(_names(values["skip"]), _names(values["experimental"]), is_error)

    def counts(self, rule: Rule) -> bool:
        """Whether what `rule` finds is reported."""
        if _has(self.skip, rule):
            return False
        return not rule.is_experimental or _has(self.experimental, rule)


def _names(text: str) -> frozenset[str]:
    return frozenset(name.strip().lower() for name in text.split(",") if name.strip())


def _has(names: Iterable[str], rule: Rule) -> bool:
    return "all" in names or rule.name.lower() in names
