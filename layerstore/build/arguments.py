"""Build arguments: what ``--build-arg`` gives, what is predefined, and which ARG lets it in.

An ARG before the first FROM is for FROM lines alone; a stage sees it where an ARG of its own names it
again. The predefined ones of a platform behave as if each file began with an ARG for them.
"""

from collections.abc import Mapping
from typing import Final

from layerstore.build.expand import ShellLexer
from layerstore.build.instruction import Arg
from layerstore.build.parser import Dockerfile
from layerstore.dataclass import dataclass
from layerstore.errors import InvalidInput, UsageError
from layerstore.oci.platform import Platform

PROXIES: Final = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy")
"""Known without an ARG, in either case; RUN sees them, no image and no key does. Dockerfile reference."""
SOURCE_DATE_EPOCH: Final = "SOURCE_DATE_EPOCH"
NO_ENVIRONMENT: Final = frozenset({"BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"})
"""Arguments about the build, which no step sees."""
_BUILDKIT: Final = "BUILDKIT_"
_IMPLIED_ARM: Final = "v7"


@dataclass(frozen=True, slots=True)
class BuildArguments:
    """What a build is asked for, as far as variables tell of it."""

    given: Mapping[str, str]
    """``--build-arg``."""
    target_platform: Platform
    build_platform: Platform
    target: str = ""
    """The target stage's name, if it has one."""

    def __post_init__(self) -> None:
        """Raises `UsageError` for a name or value that is no UTF-8, which no image could hold."""
        for key, value in self.given.items():
            try:
                f"{key}{value}".encode()
            except UnicodeEncodeError as error:
                raise UsageError(f"cannot use build argument {key!a}: it is not UTF-8") from error

    def predefined(self) -> dict[str, str]:
        """The arguments that are there without an ARG in front of FROM."""
        values = {
            **_platform_values("BUILD", self.build_platform),
            **_platform_values("TARGET", self.target_platform),
            "TARGETSTAGE": self.target or "default",
        }
        return {key: self.given.get(key, value) for key, value in values.items()}

    def unused(self, dockerfile: Dockerfile) -> tuple[str, ...]:
        """The given arguments that neither an ARG nor anything else asks for: worth a warning."""
        declared = {each.key for arg in dockerfile.global_arguments for each in arg.declarations}
        for stage in dockerfile.stages:
            for instruction in stage.instructions:
                if isinstance(instruction, Arg):
                    declared.update(each.key for each in instruction.declarations)
        known = declared | self.predefined().keys() | {SOURCE_DATE_EPOCH}
        return tuple(
            key
            for key in sorted(self.given)
            if key not in known and key.lower() not in PROXIES and not key.startswith(_BUILDKIT)
        )


def proxy_environment(given: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The proxies among ``--build-arg`` as RUN sees them: in both spellings, since programs differ in theirs."""
    found = {key.lower(): value for key, value in given.items() if key.lower() in PROXIES}
    return tuple((name, value) for key, value in sorted(found.items()) for name in (key, key.upper()))


def global_scope(dockerfile: Dockerfile, arguments: BuildArguments) -> dict[str, str]:
    """What FROM lines see: the predefined arguments and the ARGs before the first FROM.

    Raises `DockerfileError` for a default that cannot be expanded.
    """
    lexer = ShellLexer(dockerfile.escape)
    scope = arguments.predefined()
    for arg in dockerfile.global_arguments:
        for declaration in arg.declarations:
            value = arguments.given.get(declaration.key)
            if value is None and declaration.default is not None:
                try:
                    value = lexer.expand(declaration.default, scope).text
                except InvalidInput as error:
                    raise arg.origin.error(error.message) from error
            if value is not None:
                scope[declaration.key] = value
    return scope


def go_variant(platform: Platform) -> str:
    """The variant as containerd spells it: 32-bit ARM always has one."""
    return platform.variant or (_IMPLIED_ARM if platform.architecture == "arm" else "")


def _platform_values(prefix: str, platform: Platform) -> dict[str, str]:
    variant = go_variant(platform)
    shown = "/".join(part for part in (platform.os, platform.architecture, variant) if part)
    return {
        f"{prefix}PLATFORM": shown,
        f"{prefix}OS": platform.os,
        f"{prefix}OSVERSION": platform.os_version,
        f"{prefix}ARCH": platform.architecture,
        f"{prefix}VARIANT": variant,
    }
