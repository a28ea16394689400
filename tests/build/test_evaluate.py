"""Stages into steps: scopes of variables, the image's configuration and its history."""

from collections.abc import Callable

import pytest

from layerstore.build.image_state import DEFAULT_PATH, ImageState
from layerstore.build.instruction import InlineFile, Run
from layerstore.errors import DockerfileError, LimitExceeded
from layerstore.oci.config import ImageConfig
from layerstore.oci.digest import Digest
from layerstore.oci.document import dump

Build = Callable[..., object]
BASE = ImageConfig.parse(
    dump(
        {
            "architecture": "amd64",
            "os": "linux",
            "author": "them",
            "config": {
                "User": "app",
                "Env": ["A=base"],
                "Cmd": ["old"],
                "Entrypoint": ["/old"],
                "WorkingDir": "/base",
                "Labels": {"a": "1"},
                "ExposedPorts": {"1/tcp": {}},
                "Volumes": {"/v": {}},
                "Shell": ["/bin/ash", "-c"],
                "StopSignal": "SIGQUIT",
                "Healthcheck": {"Test": ["NONE"]},
                "OnBuild": ["RUN x"],
            },
            "rootfs": {"type": "layers", "diff_ids": []},
            "history": [{"created_by": "them", "created": "2020-01-01T00:00:00Z"}],
        }
    )
)


def history(built) -> list[str]:
    return [entry.created_by for entry in built.image.history]


def fields(value: object, *names: str) -> tuple[object, ...]:
    return tuple(getattr(value, name) for name in names)


def config(built) -> dict:
    return built.image.document(base=(), layers=[None] * 100, created="")["config"]


def test_an_empty_image_has_a_path_and_a_workdir(build: Build) -> None:
    assert config(build("FROM scratch\nLABEL a=b")) == {
        "Env": [f"PATH={DEFAULT_PATH}"],
        "WorkingDir": "/",
        "Labels": {"a": "b"},
    }


def test_a_base_image_is_inherited_but_its_triggers(build: Build) -> None:
    built = build("FROM base\nLABEL b=2", bases={"base": ImageState.of_image(BASE)})

    document = built.image.document(base=(), layers=(), created="2024-01-01T00:00:00Z")
    assert document["author"] == "them"
    assert document["config"] == {
        "User": "app",
        "Env": ["A=base", f"PATH={DEFAULT_PATH}"],
        "Cmd": ["old"],
        "Entrypoint": ["/old"],
        "WorkingDir": "/base",
        "Labels": {"a": "1", "b": "2"},
        "ExposedPorts": {"1/tcp": {}},
        "Volumes": {"/v": {}},
        "Shell": ["/bin/ash", "-c"],
        "StopSignal": "SIGQUIT",
        "Healthcheck": {"Test": ["NONE"]},
    }
    assert document["history"] == [
        {"created_by": "them", "created": "2020-01-01T00:00:00Z"},
        {
            "created_by": "LABEL b=2",
            "created": "2024-01-01T00:00:00Z",
            "comment": "buildkit.dockerfile.v0",
            "empty_layer": True,
        },
    ]


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ('CMD ["a"]', "Cmd", ["a"]),
        ("CMD a  b", "Cmd", ["/bin/sh", "-c", "a  b"]),
        ('SHELL ["/x"]\nCMD a', "Cmd", ["/x", "a"]),
        ('CMD ["a"]\nENTRYPOINT ["b"]', "Cmd", ["a"]),
        ('ENTRYPOINT ["b"]', "Entrypoint", ["b"]),
        ("ENTRYPOINT []", "Entrypoint", None),
        ("WORKDIR /a\nWORKDIR b\nWORKDIR ../c/./d/", "WorkingDir", "/a/c/d"),
        ("WORKDIR //a", "WorkingDir", "/a"),
        ("ENV a=1 b=2\nENV a=3", "Env", [f"PATH={DEFAULT_PATH}", "a=3", "b=2"]),
        ("ENV a=1\nENV a=2 b=$a", "Env", [f"PATH={DEFAULT_PATH}", "a=2", "b=1"]),
        ("ENV a='x y' b=\"$PATH\"z", "Env", [f"PATH={DEFAULT_PATH}", "a=x y", f"b={DEFAULT_PATH}z"]),
        ("ENV a b   c", "Env", [f"PATH={DEFAULT_PATH}", "a=b   c"]),
        ("LABEL a=1\nLABEL a=2 b=3", "Labels", {"a": "2", "b": "3"}),
        (
            "EXPOSE 80 90-91/UDP 1:443",
            "ExposedPorts",
            {f"{port}": {} for port in ("443/tcp", "80/tcp", "90/udp", "91/udp")},
        ),
        ('VOLUME /a\nVOLUME ["/b c"]', "Volumes", {"/a": {}, "/b c": {}}),
        ("STOPSIGNAL sigterm", "StopSignal", "sigterm"),
        ("STOPSIGNAL RTMIN+3", "StopSignal", "RTMIN+3"),
        ("USER a\nUSER b:c", "User", "b:c"),
        ("ONBUILD RUN x\nONBUILD COPY a b", "OnBuild", ["RUN x", "COPY a b"]),
        ("HEALTHCHECK --retries=3 CMD x", "Healthcheck", {"Test": ["CMD-SHELL", "x"], "Retries": 3}),
        ("HEALTHCHECK CMD x\nHEALTHCHECK NONE", "Healthcheck", {"Test": ["NONE"]}),
    ],
)
def test_metadata_becomes_configuration(build: Build, text: str, key: str, value: object) -> None:
    assert config(build(f"FROM scratch\n{text}")).get(key) == value


def test_entrypoint_resets_an_inherited_cmd(build: Build) -> None:
    built = build('FROM scratch AS a\nCMD ["a"]\nFROM a\nENTRYPOINT ["b"]')

    assert "Cmd" not in config(built)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("ENV a=1 b='2 3'", "ENV a=1 b=2 3"),
        ("LABEL a=1", "LABEL a=1"),
        ("WORKDIR x", "WORKDIR /x"),
        ("USER x", "USER x"),
        ("EXPOSE 90/udp 80", "EXPOSE [80/tcp 90/udp]"),
        ("VOLUME /a /b", "VOLUME [/a /b]"),
        ("STOPSIGNAL 9", "STOPSIGNAL 9"),
        ('SHELL ["a", "b"]', "SHELL [a b]"),
        ("MAINTAINER me", "MAINTAINER me"),
        ('CMD ["a", "b\\"c"]', 'CMD ["a" "b\\"c"]'),
        ("CMD a", 'CMD ["/bin/sh" "-c" "a"]'),
        ('ENTRYPOINT ["a"]', 'ENTRYPOINT ["a"]'),
        ("ARG a=1 b", "ARG a=1 b"),
        (
            "HEALTHCHECK --interval=90s --retries=3 CMD x",
            """HEALTHCHECK &{["CMD-SHELL" "x"] "1m30s" "0s" "0s" "0s" '\\x03'}""",
        ),
        ("RUN a  b", "RUN /bin/sh -c a  b # buildkit"),
        ('RUN ["a", "b"]', "RUN a b # buildkit"),
        ("RUN <<EOF\na\nEOF", "RUN /bin/sh -c a\n # buildkit"),
        ("COPY --chown=1 --chmod=7 --link a b /c/", "COPY --chown=1 --chmod=7 a b /c/ # buildkit"),
        ("COPY --parents a /c/", "COPY --parents a /c/ # buildkit"),
        ("COPY <<a /c/\nx\na", "COPY <<a /c/ # buildkit"),
        ("ADD http://x/y /", "ADD http://x/y / # buildkit"),
    ],
)
def test_history_has_buildkits_lines(build: Build, text: str, line: str) -> None:
    assert history(build(f"FROM scratch\n{text}")) == [line]


def test_history_of_run_shows_the_arguments_it_saw(build: Build) -> None:
    built = build("FROM scratch\nARG a=1\nARG b\nENV a=2\nRUN x", b="given")

    assert history(built)[-1] == "RUN |2 a=2 b=given /bin/sh -c x # buildkit"


def test_onbuild_leaves_no_history(build: Build) -> None:
    assert history(build("FROM scratch\nONBUILD RUN x\nUSER y")) == ["USER y"]


def test_layers_without_changes_count_as_empty(build: Build) -> None:
    built = build("FROM scratch\nRUN a\nRUN b\nUSER c\nWORKDIR /d\nWORKDIR /")
    one, two = Digest.of(b"1"), Digest.of(b"2")

    document = built.image.document(base=(one,), layers=(two, None, two), created="")

    assert [entry.get("empty_layer", False) for entry in document["history"]] == [
        False,
        True,
        True,
        False,
        True,
    ]
    assert document["rootfs"]["diff_ids"] == [str(one), str(two), str(two)]
    assert "created" not in document


def test_arguments_are_given_defaulted_or_taken_from_before_from(build: Build) -> None:
    built = build(
        """
        ARG global=g
        ARG other=o
        FROM scratch
        ARG global
        ARG default=$global-d
        ARG given=no
        ARG unset
        ENV all="$global,$default,$given,$unset,$other"
        """,
        given="yes",
    )

    assert built.state.variables["all"] == "g,g-d,yes,,"


def test_arguments_reach_run_but_not_the_image(build: Build) -> None:
    built = build("FROM scratch\nARG a=1\nENV b=2\nARG TARGETARCH\nRUN x")

    step = built.steps[0][-1]
    assert {**step.before.variables, "PATH": ""} == {"a": "1", "b": "2", "TARGETARCH": "amd64", "PATH": ""}
    assert config(built)["Env"][1:] == ["b=2"]


def test_arguments_stay_in_scope_in_stages_on_top(build: Build) -> None:
    built = build("FROM scratch AS a\nARG x=1\nFROM a\nENV y=$x\nFROM scratch AS c\nENV y=$x", target="1")

    assert built.state.variables["y"] == "1"
    other = build("FROM scratch AS a\nARG x=1\nFROM scratch AS c\nENV y=$x")
    assert other.state.variables["y"] == ""


def test_the_later_of_arg_and_env_wins(build: Build) -> None:
    assert build("FROM scratch\nENV a=1\nARG a=2\nUSER $a").image.user == "2"
    assert build("FROM scratch\nARG a=2\nENV a=1\nUSER $a").image.user == "1"
    assert build("FROM scratch\nENV a=1\nARG a=2\nENV a=1\nUSER $a").image.user == "1"


def test_what_expands_expands(build: Build) -> None:
    built = build(
        """
        FROM scratch
        ENV v=val p="80 90"
        WORKDIR /$v
        USER $v
        EXPOSE $p
        COPY --chown=$v --chmod=${m:-755} --exclude=$v* $v <<a <<'b' /$v/
        $v "$v" '$v' \\$v
        a
        $v
        b
        ADD http://$v/x /
        RUN --mount=type=cache,target=$v,id=$v echo $v
        """
    )

    workdir, user, expose, copy, add, run = (step.instruction for step in built.steps[0][1:])
    assert fields(workdir, "path") == ("/val",)
    assert fields(user, "user") == ("val",)
    assert fields(expose, "ports") == (("80", "90"),)
    assert fields(copy, "chown", "chmod", "exclude") == ("val", "755", ("val*",))
    assert fields(copy, "sources", "destination") == (("val",), "/val/")
    assert fields(copy, "inline") == ((InlineFile("a", "val \"val\" 'val' $v\n"), InlineFile("b", "$v\n")),)
    assert fields(add, "sources") == (("http://val/x",),)
    assert isinstance(run, Run)
    assert run.command.arguments == ("echo $v",)
    assert fields(run.mounts[0], "target", "key") == ("/val/val", "val")


@pytest.mark.parametrize("text", ["CMD", "ENTRYPOINT", "HEALTHCHECK CMD", "MAINTAINER", "ONBUILD RUN"])
def test_what_does_not_expand_stays(build: Build, text: str) -> None:
    built = build(f"FROM scratch\nENV v=val\n{text} a$v")

    assert "a$v" in str(built.image)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("EXPOSE 80/x", "invalid proto: x"),
        ("EXPOSE $nope:99999", "invalid containerPort: 99999"),
        ("STOPSIGNAL nope", "invalid signal: nope"),
        ("STOPSIGNAL 0", "invalid signal: 0"),
        (f"STOPSIGNAL {'9' * 5000}", "invalid signal: 99"),
        ("STOPSIGNAL $nope", "invalid signal: "),
        ("VOLUME $nope", "can not be an empty string"),
        ("COPY --chmod=$PATH a b", "invalid chmod parameter"),
        ("ADD --checksum=md5:1 http://x/y /", "md5"),
        ("USER ${x:?need x}", "x: need x"),
        ('ARG a="${x:?need x}"', "x: need x"),
        ("RUN --mount=type=$nope,target=/x y", "unsupported mount type ''"),
        ("RUN --mount=target=/ y", "invalid mount target '/'"),
    ],
)
def test_what_is_wrong_once_expanded_is_refused_at_its_line(build: Build, text: str, problem: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        build(f"FROM scratch\n{text}")

    assert problem in caught.value.message
    assert caught.value.line == 2


def test_a_required_argument_that_is_given_does_not_fail(build: Build) -> None:
    assert build('FROM scratch\nARG a="${x:?need x}"\nUSER $a', a="b").image.user == "b"


def test_steps_that_make_layers_say_so(build: Build) -> None:
    built = build("FROM scratch\nRUN a\nCOPY a b\nADD a b\nWORKDIR /x\nWORKDIR /\nUSER x\nARG y")

    assert [step.makes_layer for step in built.steps[0]] == [True, True, True, True, False, False, False]


def test_undefined_variables_are_told_unless_they_have_a_default(build: Build) -> None:
    built = build("FROM scratch\nUSER $a${b:-x}${c:+y}${PATH}$d", d="given but not declared")

    assert built.steps[0][0].undefined == {"a", "d"}


def test_triggers_of_a_base_run_first(build: Build) -> None:
    built = build("FROM scratch AS a\nONBUILD ENV x=1\nFROM a\nUSER u$x")

    assert [step.instruction.name for step in built.steps[1]] == ["ENV", "USER"]
    assert built.image.user == "u1"


def test_destinations_are_below_the_workdir(build: Build) -> None:
    image = build("FROM scratch\nWORKDIR /a").image

    assert [image.resolve(path) for path in ("b", "b/", ".", "./", "/c", "../..", "")] == [
        "/a/b",
        "/a/b/",
        "/a",
        "/a/",
        "/c",
        "/",
        "/a",
    ]


def test_variables_that_double_themselves_are_bounded(build: Build) -> None:
    with pytest.raises(DockerfileError, match=r"Dockerfile:\d+:1: cannot expand variables to more than"):
        build("FROM scratch\nENV A=0123456789\n" + "ENV A=$A$A\n" * 60)


def test_histories_are_bounded(build: Build) -> None:
    with pytest.raises(LimitExceeded, match="its history has more"):
        build("FROM scratch\n" + "EXPOSE 1-65535\n" * 60)
