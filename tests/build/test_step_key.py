"""Cache keys of steps: all that a result depends on is in them, and no secret is."""

from collections.abc import Callable

import pytest

from layerstore.build.evaluate import Step
from layerstore.build.image_state import ImageState
from layerstore.build.step_key import (
    definition_key,
    image_key,
    result_key,
    scratch_key,
)
from layerstore.oci.digest import Digest
from layerstore.oci.document import dump
from layerstore.oci.platform import Platform

Build = Callable[..., object]
AMD64 = Platform("linux", "amd64")


def chain(steps: tuple[Step, ...]) -> Digest:
    """The key of the file system after `steps` on an empty one."""
    key = scratch_key(AMD64)
    for step in steps:
        key = definition_key(step, key)
    return key


def outcome(built) -> tuple[Digest, bytes]:
    """All that a build gives: the file system by its key, the image by its configuration."""
    steps = built.steps[built.target.index]
    layers = [None] * sum(step.makes_layer for step in steps)
    return chain(steps), dump(built.image.document(base=(), layers=layers, created=""))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("RUN a", "RUN b"),
        ("RUN a", 'RUN ["a"]'),
        ("RUN a", "RUN --network=none a"),
        ("RUN a", "RUN --security=insecure a"),
        ("RUN a", "RUN --mount=type=tmpfs,target=/t a"),
        ("RUN --mount=type=cache,target=/t,id=a a", "RUN --mount=type=cache,target=/t,id=b a"),
        ("RUN --mount=type=cache,target=/t a", "RUN --mount=type=cache,target=/u a"),
        ("RUN --mount=type=secret,id=a a", "RUN --mount=type=secret,id=b a"),
        ("RUN --mount=type=secret,id=a a", "RUN --mount=type=secret,id=a,mode=0444 a"),
        ("RUN <<E\n#!/bin/a\nE", "RUN <<E\n#!/bin/b\nE"),
        ("ENV x=1\nRUN a", "ENV x=2\nRUN a"),
        ("ARG x=1\nRUN a", "ARG x=2\nRUN a"),
        ("USER x\nRUN a", "USER y\nRUN a"),
        ("WORKDIR /x\nRUN a", "WORKDIR /y\nRUN a"),
        ('SHELL ["/x"]\nRUN a', 'SHELL ["/y"]\nRUN a'),
        ("RUN a\nRUN b", "RUN c\nRUN b"),
        ("COPY a /x", "COPY b /x"),
        ("COPY a /x", "COPY a /x/"),
        ("COPY a /x", "ADD a /x"),
        ("COPY a /x", "COPY --chown=1 a /x"),
        ("COPY a /x", "COPY --chmod=700 a /x"),
        ("COPY a /x", "COPY --link a /x"),
        ("COPY a /x", "COPY --parents a /x"),
        ("COPY a /x", "COPY --exclude=b a /x"),
        ("WORKDIR /a\nCOPY a x", "WORKDIR /b\nCOPY a x"),
        ("COPY <<a /x\n1\na", "COPY <<a /x\n2\na"),
        ("ADD http://x/y /", "ADD http://x/z /"),
        ("ADD http://x/y /", f"ADD --checksum=sha256:{'0' * 64} http://x/y /"),
        ("ADD git@x:y.git /", "ADD --keep-git-dir git@x:y.git /"),
        ("ADD a /", "ADD --unpack=false a /"),
        ("WORKDIR /a", "WORKDIR /b"),
        ("USER a\nWORKDIR /a", "USER b\nWORKDIR /a"),
        ("CMD a", "CMD b"),
        ("ENTRYPOINT a", "ENTRYPOINT b"),
        ("ENV a=1", "ENV a=2"),
        ("LABEL a=1", "LABEL a=2"),
        ("EXPOSE 1", "EXPOSE 2"),
        ("USER a", "USER b"),
        ("VOLUME /a", "VOLUME /b"),
        ('SHELL ["a"]', 'SHELL ["b"]'),
        ("STOPSIGNAL 1", "STOPSIGNAL 2"),
        ("HEALTHCHECK CMD a", "HEALTHCHECK CMD b"),
        ("HEALTHCHECK CMD a", "HEALTHCHECK --retries=1 CMD a"),
        ("ONBUILD RUN a", "ONBUILD RUN b"),
        ("ARG a=1", "ARG a=2"),
        ("MAINTAINER a", "MAINTAINER b"),
    ],
)
def test_a_change_of_any_instruction_changes_what_is_built(build: Build, one: str, other: str) -> None:
    assert outcome(build(f"FROM scratch\n{one}")) != outcome(build(f"FROM scratch\n{other}"))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("RUN a", "run a"),
        ("RUN a", "# comment\nRUN \\\n  a"),
        ("COPY a b", 'COPY ["a", "b"]'),
        ("COPY a /b", "COPY   a    /b"),
        ("ENV v=x\nWORKDIR /$v", "ENV v=x\nWORKDIR /x"),
        ("COPY a /x", "LABEL v=1\nEXPOSE 80\nCMD b\nCOPY a /x"),
        ("COPY a /x", "ENV v=1\nCOPY a /x"),
        ("RUN a", "LABEL v=1\nHEALTHCHECK NONE\nRUN a"),
    ],
)
def test_what_a_step_does_not_see_leaves_its_key_alone(build: Build, one: str, other: str) -> None:
    keys = {chain(build(f"FROM scratch\n{text}").steps[0]) for text in (one, other)}

    assert len(keys) == 1


def test_the_base_the_platform_inputs_and_settings_are_in_the_key(build: Build) -> None:
    step = build("FROM scratch\nRUN a").steps[0][0]
    parent, other = scratch_key(AMD64), scratch_key(Platform("linux", "arm64"))

    keys = {
        definition_key(step, parent),
        definition_key(step, other),
        definition_key(step, image_key(Digest.of(b"1"), AMD64)),
        definition_key(step, image_key(Digest.of(b"2"), AMD64)),
        definition_key(step, parent, inputs=[parent]),
        definition_key(step, parent, inputs=[other]),
        definition_key(step, parent, settings={"network": "none"}),
        definition_key(step, parent, settings={"SOURCE_DATE_EPOCH": "0"}),
    }

    assert len(keys) == 8


def test_the_platform_of_the_image_is_in_the_key(build: Build) -> None:
    steps = [
        build("FROM base\nRUN a", bases={"base": ImageState(Platform("linux", arch))}).steps[0][0]
        for arch in ("amd64", "arm64")
    ]

    assert len({definition_key(step, scratch_key(AMD64)) for step in steps}) == 2


def test_contents_are_in_the_key() -> None:
    one, other = Digest.of(b"1"), Digest.of(b"2")

    assert len({result_key(one, [other]), result_key(other, [one]), result_key(one, [])}) == 3


def test_steps_without_a_layer_leave_the_key_as_it_is(build: Build) -> None:
    steps = build("FROM scratch\nENV a=1\nLABEL b=2\nUSER c\nARG d").steps[0]

    assert chain(steps) == scratch_key(AMD64)


def test_proxies_are_in_no_key(build: Build) -> None:
    keys = {
        chain(build("FROM scratch\nRUN a", **given).steps[0])
        for given in ({}, {"HTTP_PROXY": "http://u:p@x"})
    }

    assert len(keys) == 1
