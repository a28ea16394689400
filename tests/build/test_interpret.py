"""Each instruction: what it becomes, and what is refused."""

from collections.abc import Callable

import pytest

from layerstore.build.instruction import (
    Add,
    Cmd,
    CommandLine,
    Copy,
    Declaration,
    Entrypoint,
    Env,
    Healthcheck,
    InlineFile,
    Instruction,
    OnBuild,
    Pair,
    Run,
)
from layerstore.build.parser import Dockerfile, parse, parse_trigger
from layerstore.build.source import Source
from layerstore.errors import DockerfileError, InvalidDocument, LimitExceeded

Parsed = Callable[[str], Dockerfile]


def only(text: str) -> Instruction:
    """The one instruction behind a FROM."""
    file = parse(Source.parse(f"FROM scratch\n{text}\n".encode()))
    (instruction,) = file.stages[0].instructions
    return instruction


def fields(instruction: Instruction, *names: str) -> tuple[object, ...]:
    return tuple(getattr(instruction, name) for name in names)


@pytest.mark.parametrize(
    ("text", "image", "alias", "platform"),
    [
        ("FROM a", "a", "", ""),
        ("from a as B", "a", "b", ""),
        ("FROM --platform=linux/arm64 a:1 AS x-1.2_3", "a:1", "x-1.2_3", "linux/arm64"),
        ("FROM --platform=$BUILDPLATFORM ${A:-b}", "${A:-b}", "", "$BUILDPLATFORM"),
    ],
)
def test_from(parsed: Parsed, text: str, image: str, alias: str, platform: str) -> None:
    start = parsed(text).stages[0].start

    assert fields(start, "image", "alias", "platform") == (image, alias, platform)


@pytest.mark.parametrize(
    ("text", "arguments", "is_shell"),
    [
        ("echo $a  'b'", ("echo $a  'b'",), True),
        ('["a", "b c"]', ("a", "b c"), False),
        ("['a']", ("['a']",), True),
        ("[]", (), False),
    ],
)
def test_command_lines_are_for_a_shell_unless_they_are_json(
    text: str, arguments: tuple[str, ...], is_shell: bool
) -> None:
    for keyword, kind in (("CMD", Cmd), ("ENTRYPOINT", Entrypoint)):
        instruction = only(f"{keyword} {text}")

        assert isinstance(instruction, kind)
        assert instruction.command == CommandLine(arguments, is_shell)


def test_run_takes_its_flags() -> None:
    run = only("RUN --network=none --security=insecure --mount=target=/a --mount=type=cache,target=/b make")

    assert isinstance(run, Run)
    assert fields(run, "network", "security") == ("none", "insecure")
    assert [mount.target for mount in run.mounts] == ["/a", "/b"]
    assert run.command == CommandLine(("make",), is_shell=True)


@pytest.mark.parametrize(
    ("text", "command", "script"),
    [
        ("RUN <<EOF\na\nb\nEOF", CommandLine(("a\nb\n",), is_shell=True), None),
        ("RUN <<-EOF\n\ta\n\tEOF", CommandLine(("a\n",), is_shell=True), None),
        (
            "RUN <<EOF\n#!/bin/x\na\nEOF",
            CommandLine(("/dev/pipes/EOF",), is_shell=True),
            InlineFile("EOF", "#!/bin/x\na\n"),
        ),
        ("RUN cat <<A <<B\n1\nA\n2\nB", CommandLine(("cat <<A <<B\n1\nA\n2\nB",), is_shell=True), None),
    ],
)
def test_heredocs_of_run_are_the_script_or_its_input(
    text: str, command: CommandLine, script: InlineFile | None
) -> None:
    run = only(text)

    assert fields(run, "command", "script") == (command, script)


def test_copy_takes_its_flags() -> None:
    copy = only(
        "COPY --from=s --chown=1:2 --chmod=u+x,g=r --link --parents --exclude=*.a --exclude=b x y /z/"
    )

    assert isinstance(copy, Copy)
    assert fields(copy, "sources", "destination", "source_stage") == (("x", "y"), "/z/", "s")
    assert fields(copy, "chown", "chmod", "is_linked", "parents") == ("1:2", "u+x,g=r", True, True)
    assert copy.exclude == ("*.a", "b")


def test_copy_takes_json_for_names_with_spaces() -> None:
    assert fields(only('COPY ["a b", "c d/"]'), "sources", "destination") == (("a b",), "c d/")


def test_copy_takes_heredocs_for_files() -> None:
    copy = only("COPY <<a <<-'b' c /d/\n$x\na\n\t$y\n\tb")

    assert isinstance(copy, Copy)
    assert copy.inline == (InlineFile("a", "$x\n", expands=True), InlineFile("b", "$y\n"))
    assert copy.sources == ("c",)


@pytest.mark.parametrize("word", ["<<'a", "<<", "<<''", "a<<b"])
def test_what_only_looks_like_a_heredoc_is_a_name(word: str) -> None:
    assert fields(only(f"COPY {word} /x"), "sources", "inline") == ((word,), ())


def test_add_takes_its_flags() -> None:
    add = only("ADD --checksum=sha256:abc --keep-git-dir=true --unpack=false http://x/y.tar /z")

    assert isinstance(add, Add)
    assert fields(add, "checksum", "keep_git_dir", "unpack") == ("sha256:abc", True, False)
    assert fields(only("ADD a b"), "unpack", "keep_git_dir") == (None, False)


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("a=b", (Pair("a", "b"),)),
        ("a=b c='d e' f=g\\ h", (Pair("a", "b"), Pair("c", "'d e'"), Pair("f", "g\\ h"))),
        ("a=b=c", (Pair("a", "b=c"),)),
        ("a=", (Pair("a", ""),)),
        ("a b c=d", (Pair("a", "b c=d"),)),
    ],
)
def test_env_and_label_take_pairs(text: str, pairs: tuple[Pair, ...]) -> None:
    assert fields(only(f"ENV {text}"), "pairs") == (pairs,)
    assert fields(only(f"LABEL {text}"), "pairs") == (pairs,)


def test_the_old_form_is_told_from_the_new() -> None:
    env = only("ENV a b")

    assert isinstance(env, Env)
    assert not env.pairs[0].has_equals


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("ARG a", "declarations", (Declaration("a"),)),
        (
            "ARG a= b='c d' e",
            "declarations",
            (Declaration("a", ""), Declaration("b", "'c d'"), Declaration("e")),
        ),
        ("EXPOSE 90/udp 80", "ports", ("80", "90/udp")),
        ("USER a:b", "user", "a:b"),
        ("WORKDIR /a b", "path", "/a b"),
        ("VOLUME /a /b", "paths", ("/a", "/b")),
        ('VOLUME ["/a b"]', "paths", ("/a b",)),
        ("STOPSIGNAL 9", "signal", "9"),
        ('SHELL ["/bin/bash", "-c"]', "arguments", ("/bin/bash", "-c")),
        ("MAINTAINER me <me@x>", "author", "me <me@x>"),
    ],
)
def test_the_small_instructions(text: str, name: str, value: object) -> None:
    assert fields(only(text), name) == (value,)


@pytest.mark.parametrize(
    ("text", "test"),
    [
        ("NONE", ("NONE",)),
        ("none", ("NONE",)),
        ("CMD curl x", ("CMD-SHELL", "curl x")),
        ('CMD ["a", "b"]', ("CMD", "a", "b")),
    ],
)
def test_healthchecks(text: str, test: tuple[str, ...]) -> None:
    assert fields(only(f"HEALTHCHECK {text}"), "test") == (test,)


def test_healthchecks_take_times() -> None:
    check = only(
        "HEALTHCHECK --interval=1m --timeout=2s --start-period=3ms --start-interval=0 --retries=4 CMD x"
    )

    assert isinstance(check, Healthcheck)
    assert fields(check, "interval", "timeout", "start_period", "start_interval", "retries") == (
        60_000_000_000,
        2_000_000_000,
        3_000_000,
        0,
        4,
    )


def test_onbuild_keeps_the_instruction_as_text() -> None:
    trigger = only("ONBUILD RUN --network=none <<EOF\na\nEOF")

    assert isinstance(trigger, OnBuild)
    assert trigger.trigger == "RUN --network=none <<EOF\na\nEOF"
    assert trigger.instruction == parse_trigger(trigger.trigger, "base")


@pytest.mark.parametrize(
    ("text", "problem", "column"),
    [
        ("RUNN x", "unknown instruction: RUNN (did you mean RUN?)", 1),
        ("FROM", "FROM requires either one or three arguments", 5),
        ("FROM a b", "FROM requires either one or three arguments", 6),
        ("FROM a AS 1b", "invalid name for build stage: '1b'", 11),
        ("FROM --platfrm=x a", "unknown flag: --platfrm (did you mean --platform?)", 6),
        ("RUN", "RUN requires a command", 1),
        ("RUN --mount x", "missing a value on flag: --mount", 5),
        ("RUN --mount=type=bnd x", "unsupported mount type 'bnd'", 5),
        ("RUN --network=hots x", "network 'hots' is not supported (did you mean host?)", 5),
        ("RUN --security=x y", "security 'x' is not supported", 5),
        ("RUN --network=none --network=none x", "duplicate flag specified: --network", 20),
        ("RUN [1]", "strings only", 5),
        ("COPY a", "requires at least two arguments", 1),
        ("COPY a <<b\nb", "cannot accept a heredoc as a destination", 8),
        ("COPY --from=$x a b", "--from does not expand variables", 6),
        ("COPY --chmod=999 a b", "invalid chmod parameter: '999'", 6),
        ("COPY --link=maybe a b", "expecting boolean value for flag --link", 6),
        ("COPY --link= a b", "expecting boolean value", 6),
        ("COPY a http://x/y /z", "source can't be a URL for COPY", 8),
        ("COPY git@github.com:a/b.git /z", "source can't be a URL for COPY", 6),
        ("COPY --checksum=x a b", "unknown flag: --checksum", 6),
        ("ADD --checksum=x a b c", "checksum can't be specified for multiple sources", 5),
        ("ENV", "ENV requires at least one argument", 1),
        ("ENV a", "ENV must have two arguments", 5),
        ("ENV a=b c", "can't find = in 'c'", 9),
        ("ENV a=b =c", "ENV names can not be blank", 9),
        ("LABEL --x a=b", "unknown flag: --x", 7),
        ("ARG", "ARG requires at least one argument", 1),
        ("ARG =x", "ARG names can not be blank", 5),
        ("EXPOSE", "EXPOSE requires at least one argument", 1),
        ("USER", "USER requires exactly one argument", 1),
        ("WORKDIR", "WORKDIR requires exactly one argument", 1),
        ("STOPSIGNAL", "STOPSIGNAL requires exactly one argument", 1),
        ("VOLUME", "VOLUME requires at least one argument", 1),
        ('VOLUME [""]', "can not be an empty string", 8),
        ("SHELL", "SHELL requires at least one argument", 1),
        ("SHELL bash -c", "SHELL requires the arguments to be in JSON form", 7),
        ("HEALTHCHECK", "HEALTHCHECK requires at least one argument", 1),
        ("HEALTHCHECK NONE x", "HEALTHCHECK NONE takes no arguments", 13),
        ("HEALTHCHECK CMD [1]", "strings only", 17),
        ('COPY ["a", 1]', "strings only", 6),
        ("HEALTHCHECK CMD", "missing command after HEALTHCHECK CMD", 16),
        ("HEALTHCHECK CMDD x", "unknown type 'CMDD' in HEALTHCHECK (did you mean CMD?)", 13),
        ("HEALTHCHECK run x", "(try CMD)", 13),
        ("HEALTHCHECK --interval=1 CMD x", "invalid duration '1'", 13),
        ("HEALTHCHECK --interval=1us CMD x", "cannot be less than 1ms", 13),
        ("HEALTHCHECK --retries=-1 CMD x", "cannot be negative", 13),
        (f"HEALTHCHECK --retries={'1' * 5000} CMD x", "must be a number", 13),
        (f"HEALTHCHECK --interval=1.{'1' * 5000}s CMD x", "invalid duration", 13),
        ("ONBUILD", "ONBUILD requires at least one argument", 1),
        ("ONBUILD ONBUILD RUN x", "isn't allowed", 9),
        ("ONBUILD FROM x", "FROM isn't allowed as an ONBUILD trigger", 9),
        ("ONBUILD maintainer x", "MAINTAINER isn't allowed", 9),
        ("ONBUILD COPY x", "requires at least two arguments", 9),
    ],
)
def test_what_is_wrong_is_refused_at_its_place(text: str, problem: str, column: int) -> None:
    with pytest.raises(DockerfileError) as caught:
        only(text)

    assert problem in caught.value.message
    assert (caught.value.line, caught.value.column) == (2, column)
    assert caught.value.text == text.split("\n", maxsplit=1)[0]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "file with no instructions"),
        ("# only\n", "file with no instructions"),
        ("ARG x", "contains no stages to build"),
        ("RUN x\nFROM a", "no build stage in current context"),
    ],
)
def test_a_file_needs_a_stage(parsed: Parsed, text: str, problem: str) -> None:
    with pytest.raises(DockerfileError, match=problem):
        parsed(text)


def test_a_file_is_args_and_stages(parsed: Parsed) -> None:
    file = parsed("ARG a=1\nARG b\nFROM $a AS x\nRUN 1\nRUN 2\nFROM x\n")

    assert len(file.global_arguments) == 2
    assert [len(stage.instructions) for stage in file.stages] == [2, 0]


def test_instructions_are_bounded(parsed: Parsed) -> None:
    with pytest.raises(LimitExceeded):
        parsed("FROM a\n" + "USER x\n" * 4096)


@pytest.mark.parametrize("text", ["", "RUN a\nRUN b", "RUNN x", "FROM x", "ONBUILD RUN x", "RUN <<EOF\n"])
def test_triggers_that_are_no_instruction_are_refused(text: str) -> None:
    with pytest.raises((InvalidDocument, DockerfileError)):
        parse_trigger(text, "base")
