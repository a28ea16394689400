"""The graph of stages."""

from collections.abc import Callable

import pytest

from layerstore.build.arguments import BuildArguments, proxy_environment
from layerstore.build.instruction import Copy, Label, Run
from layerstore.build.parser import Dockerfile
from layerstore.build.stages import ImageSource, NamedContext, Scratch, StageGraph, StageSource
from layerstore.errors import DockerfileError, NotFound, UsageError
from layerstore.oci.platform import Platform

Parsed = Callable[[str], Dockerfile]
AMD64 = Platform("linux", "amd64")
ARM = Platform("linux", "arm")


def graph(file: Dockerfile, *contexts: str, **given: str) -> StageGraph:
    return StageGraph.build(file, BuildArguments(given, ARM, AMD64), contexts=contexts)


def test_bases_are_scratch_stages_or_images(parsed: Parsed) -> None:
    found = graph(parsed("FROM scratch AS a\nFROM A AS b\nFROM c\nFROM c AS c\nFROM scratch AS scratch\n"))

    assert [stage.base for stage in found.stages] == [
        Scratch(),
        StageSource(0),
        ImageSource("c"),
        ImageSource("c"),
        Scratch(),
    ]


def test_sources_are_stages_by_name_or_number_images_or_contexts(parsed: Parsed) -> None:
    file = parsed(
        """
        FROM scratch AS a
        FROM scratch
        COPY --from=a x /
        COPY --from=0 x /
        COPY --from=busybox:1 x /
        COPY --from=extra x /
        COPY x /
        RUN --mount=from=a,target=/a --mount=type=cache,target=/c --mount=type=cache,from=scratch,target=/d y
        """
    )

    assert graph(file, "extra").stages[1].origins == (
        (StageSource(0),),
        (StageSource(0),),
        (ImageSource("busybox:1"),),
        (NamedContext("extra"),),
        (),
        (StageSource(0), Scratch()),
    )


def test_a_target_needs_only_what_it_takes_from(parsed: Parsed) -> None:
    found = graph(
        parsed(
            """
            FROM scratch AS tools
            FROM scratch AS unused
            FROM scratch AS base
            FROM base AS test
            COPY --from=unused x /
            FROM base AS final
            RUN --mount=from=tools,target=/t x
            """
        )
    )

    assert [stage.name for stage in found.needed(found.target())] == ["tools", "base", "final"]
    assert [stage.name for stage in found.needed(found.target("TEST"))] == ["unused", "base", "test"]
    assert [stage.name for stage in found.needed(found.target("2"))] == ["base"]


def test_of_doubled_names_the_last_before_counts(parsed: Parsed) -> None:
    found = graph(parsed("FROM a AS x\nFROM b AS x\nFROM x\nFROM c AS x"))

    assert found.stages[2].base == StageSource(1)
    assert found.target("x").index == 3


def test_an_unknown_target_is_not_found(parsed: Parsed) -> None:
    with pytest.raises(NotFound, match=r"target stage 'finall' could not be found \(did you mean final\?\)"):
        graph(parsed("FROM a AS final")).target("finall")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("FROM a AS x\nCOPY --from=x y /", "circular dependency detected on stage: x"),
        ("FROM a\nCOPY --from=0 y /", "circular dependency detected on stage: 0"),
        (
            "FROM a\nCOPY --from=b y /\nFROM a AS b",
            "cannot copy from stage 'b', it needs to be defined before",
        ),
        ("FROM a\nCOPY --from=1 y /\nFROM a", "cannot copy from stage '1', it needs to be defined before"),
        ("FROM a\nRUN --mount=from=b,target=/x y\nFROM a AS b", "cannot copy from stage 'b'"),
        ("FROM a\nCOPY --from=7 y /", "invalid stage index 7"),
        (f"FROM a\nCOPY --from={'9' * 5000} y /", "invalid stage index 99"),
        ("FROM $nope", "base name ($nope) should not be blank"),
        ("ARG BASE\nFROM $BAS", "did you mean $BASE?"),
        ("FROM --platform=$nope a", "empty platform value from expression $nope"),
        ("FROM --platform=a/b/c/d a", "invalid platform"),
        ("FROM ${x", "missing '}'"),
        ('ARG x="${y:?say why}"\nFROM a', "y: say why"),
    ],
)
def test_references_that_lead_nowhere_are_refused(parsed: Parsed, text: str, problem: str) -> None:
    file = parsed(text)

    with pytest.raises(DockerfileError) as caught:
        graph(file, BASE="") if "BASE" in text else graph(file)

    assert problem in caught.value.message


def test_global_arguments_expand_in_from(parsed: Parsed) -> None:
    file = parsed("ARG A=1\nARG B=${A}2\nARG C\nFROM --platform=$BUILDPLATFORM x:$A-$B-$C\n")

    found = graph(file, C="given", A="0")

    assert found.stages[0].base == ImageSource("x:0-02-given")
    assert found.stages[0].platform == AMD64


def test_the_predefined_arguments_are_there(parsed: Parsed) -> None:
    found = graph(
        parsed("FROM $TARGETOS-$TARGETARCH-$TARGETVARIANT-$BUILDARCH-$TARGETSTAGE"), TARGETOS="given"
    )

    assert found.stages[0].base == ImageSource("given-arm-v7-amd64-default")
    assert found.scope["TARGETPLATFORM"] == "linux/arm/v7"


def test_a_named_context_takes_the_place_of_images_and_stages(parsed: Parsed) -> None:
    file = parsed("FROM alpine AS base\nRUN x\nFROM base\nFROM debian\nCOPY --from=alpine x /")

    found = graph(file, "Base", "debian", "alpine")

    assert [stage.base for stage in found.stages] == [
        NamedContext("base"),
        NamedContext("base"),
        NamedContext("debian"),
    ]
    assert found.stages[0].instructions == ()
    assert found.stages[2].origins == ((NamedContext("alpine"),),)


def test_triggers_of_a_base_stage_come_first(parsed: Parsed) -> None:
    found = graph(
        parsed(
            """
            FROM scratch AS tools
            FROM scratch AS base
            ONBUILD COPY --from=tools a /a
            ONBUILD RUN b
            FROM base AS middle
            RUN c
            FROM middle
            LABEL d=e
            """
        )
    )

    middle, last = found.stages[2:]
    assert [type(each) for each in middle.instructions] == [Copy, Run, Run]
    assert middle.needs == (0, 1)
    assert [type(each) for each in last.instructions] == [Label]


def test_triggers_of_a_base_image_may_need_more_stages(parsed: Parsed) -> None:
    found = graph(parsed("FROM scratch AS tools\nFROM node\nRUN x"))

    fired = found.with_triggers(1, ["COPY --from=tools a /", "COPY --from=busybox a /"], "node")

    stage = fired.target()
    assert [type(each) for each in stage.instructions] == [Copy, Copy, Run]
    assert (stage.needs, stage.images) == ((0,), ("node", "busybox"))
    assert [each.name for each in fired.needed(stage)] == ["tools", "stage-1"]
    assert [each.name for each in found.needed(found.target())] == ["stage-1"]


def test_unused_arguments_are_told(parsed: Parsed) -> None:
    file = parsed("ARG a\nFROM x\nARG b\n")
    given = dict.fromkeys(["a", "b", "c", "HTTP_PROXY", "TARGETARCH", "SOURCE_DATE_EPOCH", "BUILDKIT_X"], "1")

    assert BuildArguments(given, ARM, AMD64).unused(file) == ("c",)


def test_proxies_are_given_in_both_spellings() -> None:
    given = {"HTTP_PROXY": "p", "no_proxy": "n", "x": "y"}

    assert proxy_environment(given) == (
        ("http_proxy", "p"),
        ("HTTP_PROXY", "p"),
        ("no_proxy", "n"),
        ("NO_PROXY", "n"),
    )


def test_arguments_that_are_no_text_are_refused() -> None:
    with pytest.raises(UsageError, match="not UTF-8"):
        BuildArguments({"a": "\udcff"}, ARM, AMD64)
