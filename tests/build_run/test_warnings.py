"""What is likely a mistake is told at the end of a build, in BuildKit's words, as far as ``# check=`` wants it."""

from dataclasses import replace
from pathlib import Path

import pytest

from fixtures.builds import Builder
from fixtures.images.layout import ImageBuilder
from layerstore.oci.platform import Platform

TEXT = "FROM busybox\nENV API_KEY=1\nCMD run"
SHELL_FORM = (
    "JSONArgsRecommended: JSON arguments recommended for CMD to prevent unintended behavior "
    "related to OS signals"
)
SECRET = 'SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data (ENV "API_KEY")'


def test_a_build_ends_with_a_summary(builder: Builder) -> None:
    result = builder.build(builder.context(TEXT), quiet=False)

    assert result.status == 0, result.errors
    summary = f"\n 2 warnings found (use lstore --debug to expand):\n - {SECRET} (line 2)\n - {SHELL_FORM} (line 3)\n"
    assert result.errors.endswith(summary)


def test_debug_shows_the_lines(builder: Builder) -> None:
    done = builder.call("--debug", "build", str(builder.context("FROM busybox\nCMD run")))

    assert done.returncode == 0, done.stderr
    assert "\n 1 warning found:\nWARNING: JSONArgsRecommended - https://docs.docker.com/" in done.stderr
    assert "   2 | >>> CMD run\n" in done.stderr


def test_nothing_is_told_where_all_is_well_or_nobody_wants_it(builder: Builder) -> None:
    good = builder.build(builder.context("FROM busybox\nUSER x"), quiet=False)
    skipped = builder.build(builder.context(f"# check=skip=all\n{TEXT}"), quiet=False)
    quiet = builder.build(builder.context(TEXT))

    assert "warning" not in good.errors + skipped.errors
    assert (quiet.status, quiet.errors) == (0, "")


def test_one_check_can_be_skipped(builder: Builder) -> None:
    result = builder.build(builder.context(f"# check=skip=JSONArgsRecommended\n{TEXT}"), quiet=False)

    assert (SECRET in result.errors, SHELL_FORM in result.errors) == (True, False)


def test_errors_stop_the_build_before_its_first_step(builder: Builder) -> None:
    context = builder.context("# check=error=true\nFROM busybox\nRUN echo carried out\nCMD run")

    result = builder.build(context, "-t", "stopped", quiet=False)

    assert result.status == 1
    assert "lint violation found for rules: JSONArgsRecommended" in result.errors
    assert "   4 | >>> CMD run" in result.errors
    assert "carried out" not in result.errors.split("---")[0]
    assert builder.call("inspect", "stopped").returncode != 0


@pytest.mark.parametrize(("given", "status"), [("skip=all;error=true", 0), ("error=true", 1), ("what", 125)])
def test_the_build_argument_takes_the_place_of_the_directive(
    builder: Builder, given: str, status: int
) -> None:
    context = builder.context(f"# check=error=false\n{TEXT}")

    result = builder.build(context, "--build-arg", f"BUILDKIT_DOCKERFILE_CHECK={given}")

    assert result.status == status, result.errors


def test_arguments_that_nothing_asks_for_are_told(builder: Builder) -> None:
    context = builder.context("ARG B\nFROM busybox\nARG A")
    flags = [flag for key in ("A", "B", "Z", "X", "http_proxy") for flag in ("--build-arg", f"{key}=1")]

    result = builder.build(context, *flags, quiet=False)

    assert result.errors.endswith(
        "\n 1 warning found (use lstore --debug to expand):\n - One or more build-args [X Z] were not consumed\n"
    )


def test_the_variables_of_a_base_are_known(builder: Builder) -> None:
    builder.build(builder.context("FROM busybox\nENV KNOWN=1"), "-t", "with-env")

    result = builder.build(builder.context("FROM with-env\nENV A=$KNOWN B=$KNOW"), quiet=False)

    assert "Usage of undefined variable '$KNOW' (did you mean $KNOWN?) (line 2)" in result.errors
    assert "'$KNOWN'" not in result.errors


def test_files_that_are_left_out_of_the_context_are_told(builder: Builder) -> None:
    context = builder.context("FROM busybox\nCOPY a* b /x/", {"ab": "", "b": "", ".dockerignore": "b\n"})

    checked = builder.call("build", "--check", str(context))

    assert checked.returncode == 1
    assert 'Attempting to Copy file "b" that is excluded by .dockerignore' in checked.stdout


def test_a_base_of_another_platform_is_told(builder: Builder, tmp_path: Path) -> None:
    foreign = ImageBuilder()
    image = foreign.add_image([], config={}, platform=Platform("linux", "s390x"))
    foreign.tag(replace(image, annotations={"io.containerd.image.name": "docker.io/library/foreign:1"}), "1")
    builder.call("load", "-q", "-i", str(foreign.write(tmp_path / "foreign"))).check_returncode()
    context = builder.context("FROM foreign:1\nLABEL a=b")

    checked = builder.call("build", "--check", "--platform", "linux/amd64", str(context))

    assert checked.returncode == 1
    assert (
        'was pulled with platform "linux/s390x", expected "linux/amd64" for current build' in checked.stdout
    )
