"""BuildKit's build checks: each finds what it is for, in BuildKit's words, and leaves the rest alone."""

from collections.abc import Callable

import pytest

from layerstore.build.dockerignore import IgnoreMatcher
from layerstore.build.lint import check_base, check_file, check_graph, check_steps, options_of, selected
from layerstore.build.lint_rules import RULES, LintOptions
from layerstore.build.parser import Dockerfile
from layerstore.errors import DockerfileError, InvalidInput
from layerstore.oci.platform import Platform

Build = Callable[..., object]
ALL = LintOptions(experimental=frozenset({"all"}))


def warnings(built, *ignored: str, options: LintOptions = ALL) -> list[str]:
    """What all checks find in the target's stages."""
    found = [*check_file(built.dockerfile), *check_graph(built.dockerfile, built.graph, built.arguments)]
    for steps in built.steps.values():
        found += check_steps(steps, IgnoreMatcher.of(ignored))
    return [f"{each.rule.name} {each.position.line} {each.message}" for each in selected(found, options)]


GOOD = """
# base is what all is built on
FROM scratch AS base
# version of the release
ARG version=1
WORKDIR /app
ENV PUBLIC_KEY=x path=$PATH label="$version"
COPY src /app/
EXPOSE 80 443/tcp
ENTRYPOINT ["/app/run"]
CMD ["serve"]

FROM --platform=$BUILDPLATFORM base
LABEL a=b
"""


def test_a_good_file_has_nothing_to_report(build: Build) -> None:
    assert warnings(build(GOOD), "*.md") == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FROM scratch AS Base\nUSER x", "StageNameCasing 1 Stage name 'Base' should be lowercase"),
        ("FROM scratch as base\nUSER x", "FromAsCasing 1 'as' and 'FROM' keywords' casing do not match"),
        ("from scratch AS base\nuser x", "FromAsCasing 1 'AS' and 'from' keywords' casing do not match"),
        ("FROM scratch\nRUN a \\\n\n b", "NoEmptyContinuation 3 Empty continuation line"),
        (
            "FROM scratch\nUSER x\nuser y",
            "ConsistentInstructionCasing 3 Command 'user' should match the case of the command majority (uppercase)",
        ),
        (
            "from scratch\nuser x\nUser y",
            "ConsistentInstructionCasing 3 Command 'User' should match the case of the command majority (lowercase)",
        ),
        (
            "FROM scratch AS a\nUSER x\nFROM scratch AS a\nUSER y",
            'DuplicateStageName 3 Duplicate stage name "a", stage names should be unique',
        ),
        (
            "FROM scratch AS context\nUSER x",
            'ReservedStageName 1 Stage name should not use the same name as reserved stage "context"',
        ),
        (
            "FROM scratch\nCMD a",
            "JSONArgsRecommended 2 JSON arguments recommended for CMD to prevent unintended behavior "
            "related to OS signals",
        ),
        (
            "FROM scratch\nMAINTAINER me",
            "MaintainerDeprecated 2 Maintainer instruction is deprecated in favor of using label",
        ),
        (
            "ARG BASE=a\nFROM b${BASEE}\nUSER x",
            "UndefinedArgInFrom 2 FROM argument 'BASEE' is not declared (did you mean BASE?)",
        ),
        (
            "FROM scratch\nWORKDIR a\nWORKDIR b",
            'WorkdirRelativePath 2 Relative workdir "a" can have unexpected results if the base image changes',
        ),
        (
            "FROM scratch\nARG foo\nENV bar=1\nUSER $baz",
            "UndefinedVar 4 Usage of undefined variable '$baz' (did you mean $bar?)",
        ),
        (
            'FROM scratch\nCMD ["a"]\nCMD ["b"]',
            "MultipleInstructionsDisallowed 2 Multiple CMD instructions should not be used in the same stage "
            "because only the last one will be used",
        ),
        (
            "FROM scratch\nENV a b",
            'LegacyKeyValueFormat 2 "ENV key=value" should be used instead of legacy "ENV key value" format',
        ),
        (
            "FROM --platform=$TARGETPLATFORM scratch\nUSER x",
            "RedundantTargetPlatform 1 Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this "
            "is the default behavior",
        ),
        (
            "FROM scratch\nENV API_TOKEN=x",
            'SecretsUsedInArgOrEnv 2 Do not use ARG or ENV instructions for sensitive data (ENV "API_TOKEN")',
        ),
        (
            "FROM scratch\nARG password",
            'SecretsUsedInArgOrEnv 2 Do not use ARG or ENV instructions for sensitive data (ARG "password")',
        ),
        (
            "ARG TAG\nFROM busybox:${TAG}\nUSER x",
            "InvalidDefaultArgInFrom 2 Default value for ARG busybox:${TAG} results in empty or invalid base image "
            "name",
        ),
        (
            "FROM --platform=linux/arm64 scratch AS x\nUSER x",
            'FromPlatformFlagConstDisallowed 1 FROM --platform flag should not use constant value "linux/arm64"',
        ),
        (
            "FROM scratch\nCOPY docs/a.md /",
            'CopyIgnoredFile 2 Attempting to Copy file "docs/a.md" that is excluded by .dockerignore',
        ),
        (
            "FROM scratch\nADD docs /",
            'CopyIgnoredFile 2 Attempting to Add file "docs" that is excluded by .dockerignore',
        ),
        (
            "# other thing\nFROM scratch AS base\nUSER x",
            "InvalidDefinitionDescription 2 Comment for FROM should follow the format: `# base <description>`",
        ),
        (
            "FROM scratch\n# other thing\nARG a b",
            "InvalidDefinitionDescription 3 Comment for ARG should follow the format: `# <arg_key> <description>`",
        ),
        (
            "FROM scratch\nEXPOSE 80/TCP",
            "ExposeProtoCasing 2 Defined protocol '80/TCP' in EXPOSE instruction should be lowercase",
        ),
        (
            "FROM scratch\nEXPOSE 127.0.0.1:80:80",
            "ExposeInvalidFormat 2 EXPOSE instruction should not define an IP address or host-port mapping, found "
            "'127.0.0.1:80:80'",
        ),
    ],
)
def test_each_check_finds_its_mistake_and_nothing_else(build: Build, text: str, expected: str) -> None:
    given = {"TAG": "1"} if "TAG" in text else {}

    assert warnings(build(text, **given), "docs") == [expected]


@pytest.mark.parametrize(
    "text",
    [
        "FROM --platform=linux/arm64 scratch AS build-arm64\nUSER x",
        'FROM scratch\nSHELL ["/bin/x"]\nCMD a',
        "FROM scratch\nWORKDIR /a\nWORKDIR b",
        "FROM scratch AS a\nWORKDIR /a\nFROM a AS b\nLABEL a=b\nWORKDIR /c",
        "FROM scratch\nARG foo\nUSER $foo",
        "FROM scratch\nENV a=${b:-c}",
        'FROM scratch AS a\nCMD ["a"]\nFROM a AS b\nCMD ["b"]',
        "FROM scratch\nENV MONKEYS=x TOKENS=y PUBLIC_KEY=z",
        "FROM scratch AS a\nUSER x\nFROM scratch\nCOPY --from=a docs /",
        "FROM scratch\nADD https://x/docs /",
        "# lost comment\n\nFROM scratch AS base\nUSER x",
    ],
)
def test_what_only_looks_like_a_mistake_is_left_alone(build: Build, text: str) -> None:
    assert warnings(build(text), "docs") == []


def test_experimental_checks_are_silent_unless_asked_for(build: Build) -> None:
    built = build("# other\nFROM scratch AS base\nUSER x")

    assert warnings(built, options=LintOptions()) == []


def test_a_skipped_check_is_silent(build: Build) -> None:
    built = build(
        "# check=skip=MaintainerDeprecated,stagenamecasing;error=true\nFROM scratch AS A\nMAINTAINER x"
    )

    options = options_of(built.dockerfile)
    assert options.is_error
    assert warnings(built, options=options) == []
    assert warnings(built, options=LintOptions.parse("skip=all")) == []


@pytest.mark.parametrize("text", ["skip", "skp=all", "error=perhaps"])
def test_wrong_options_are_refused(parsed: Callable[[str], Dockerfile], text: str) -> None:
    with pytest.raises(InvalidInput):
        LintOptions.parse(text)
    with pytest.raises(DockerfileError) as caught:
        options_of(parsed(f"# check={text}\nFROM scratch"))
    assert caught.value.line == 1


def test_every_rule_has_its_page() -> None:
    without_page = [rule.name for rule in RULES.values() if not rule.url]

    assert without_page == ["InvalidBaseImagePlatform"]
    assert len(RULES) == 22


def test_a_base_of_another_platform_is_told(build: Build) -> None:
    stage = build("FROM busybox:1\nUSER x").target
    amd64, arm64 = Platform("linux", "amd64"), Platform("linux", "arm64")

    (warning,) = check_base(stage, amd64, arm64)

    expected = 'Base image busybox:1 was pulled with platform "linux/arm64", expected "linux/amd64" for current build'
    assert warning.message == expected
    assert list(check_base(stage, amd64, amd64)) == []
