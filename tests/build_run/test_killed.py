"""kill -9 at seeded random moments: the store stays clean, and the next build takes up what was finished."""

import os
import random
import signal
import subprocess
import time

import pytest

from fixtures.builds import Builder

pytestmark = pytest.mark.root

ROUNDS = int(os.environ.get("LSTORE_BUILD_KILLS", "20"))
LONGEST = 0.9
"""Seconds until the kill, at most: a build of the test takes about so long."""
TEXT = """
FROM busybox AS one
ARG ROUND
COPY d /d
RUN echo $ROUND > /one
FROM busybox
ARG ROUND
RUN echo $ROUND > /two
COPY --from=one /one /d /
RUN cat /one /two > /three
"""


def kill_build(builder: Builder, context: str, flags: tuple[str, ...], moment: float) -> None:
    """Start a build, and kill its whole process with SIGKILL after `moment` seconds."""
    command = builder.command("build", *flags, context)
    with subprocess.Popen(
        command, env=builder.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            process.wait(moment)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)


def test_a_killed_build_leaves_a_clean_store_and_what_it_finished(lonely_builder: Builder) -> None:
    builder = lonely_builder
    context = str(builder.context(TEXT, {f"d/{number}": str(number) for number in range(50)}))
    moments = random.Random(5)
    for number in range(ROUNDS):
        flags = ("--build-arg", f"ROUND={number // 4}", "-t", "killed")

        kill_build(builder, context, flags, moments.uniform(0, LONGEST))
    checked = builder.call("fsck")
    assert checked.returncode == 0, checked.stdout

    result = builder.build(context, *flags)

    assert result.status == 0, result.errors
    assert builder.read("killed", "/three") == f"{number // 4}\n" * 2
    assert os.listdir(builder.root / "build-cache" / "steps") == []
    assert [key for key in builder.engine.snapshotter.active() if key.startswith("build-")] == []


def test_what_was_finished_before_a_kill_is_not_carried_out_again(lonely_builder: Builder) -> None:
    context = lonely_builder.context("FROM busybox\nRUN echo first > /f\nRUN --mount=type=cache,target=/c {}")
    dockerfile = context / "Dockerfile"
    text = dockerfile.read_text()
    dockerfile.write_text(text.format("echo > /c/started; sleep 98765"))
    command = lonely_builder.command("build", str(context))
    with subprocess.Popen(
        command, env=lonely_builder.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        wait_for(lonely_builder, "started")
        groups = groups_of(lonely_builder)
        process.kill()
    dockerfile.write_text(text.format("true"))

    second = lonely_builder.build(context, quiet=False)

    assert second.status == 0, second.errors
    assert second.step("RUN echo first") == "CACHED"
    assert not any(line.strip() == "sleep 98765" for line in processes())
    assert groups
    assert not any(map(os.path.exists, groups))


@pytest.mark.parametrize(
    "point",
    [
        "publish: temporary file durable",
        "commit: layers published",
        "commit: one leaf renamed",
        "commit: leaves durable",
        "snapshot: assembled, not visible",
        "build: step recorded",
    ],
)
def test_a_build_that_dies_while_it_writes_leaves_nothing_half_done(
    lonely_builder: Builder, point: str
) -> None:
    context = lonely_builder.context("FROM busybox\nCOPY f /f\nRUN cat /f > /g", {"f": "content"})
    lonely_builder.variables["LSTORE_CRASH_AT"] = point

    died = lonely_builder.build(context, "-t", "died")

    lonely_builder.variables.clear()
    assert died.status == -signal.SIGKILL
    assert lonely_builder.call("fsck").returncode == 0
    assert lonely_builder.build(context, "-t", "died").status == 0
    assert lonely_builder.read("died", "/g") == "content"


def test_an_interrupted_build_ends_its_steps(lonely_builder: Builder) -> None:
    text = "FROM busybox\nRUN --mount=type=cache,target=/c echo > /c/started; sleep 87654"
    command = lonely_builder.command("build", str(lonely_builder.context(text)))
    with subprocess.Popen(
        command, env=lonely_builder.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        try:
            wait_for(lonely_builder, "started")
            groups = groups_of(lonely_builder)
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)
        finally:
            process.kill()

    assert process.returncode == 130
    assert not any(line.strip() == "sleep 87654" for line in processes())
    assert os.listdir(lonely_builder.root / "build-cache" / "steps") == []
    assert groups
    assert not any(map(os.path.exists, groups))


def groups_of(builder: Builder) -> list[str]:
    """The directories of the control groups of the steps under way."""
    records = (builder.root / "build-cache" / "steps").glob("*/state/cgroup")
    return [line.split(" ", 1)[1] for path in records for line in path.read_text().splitlines()[1:]]


def wait_for(builder: Builder, name: str) -> None:
    """Until a file of that name is in a cache mount."""
    deadline = time.monotonic() + 60
    while not list((builder.root / "build-cache" / "mounts").glob(f"*/data/{name}")):
        assert time.monotonic() < deadline
        os.sched_yield()


def processes() -> list[str]:
    """The command lines of all processes."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/cmdline", "rb") as stream:
                found.append(stream.read().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue
    return found
