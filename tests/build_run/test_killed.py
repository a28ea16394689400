"""kill -9 at seeded random moments: the store stays clean, and the next build takes up what was finished."""

import os
import random
import re
import signal
import subprocess
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field

import pytest

from fixtures.builds import Builder
from lstore.engine.fsck import fsck

pytestmark = pytest.mark.root

SEEDS = (5, 6)
ROUNDS = int(os.environ.get("LSTORE_BUILD_KILLS", "100")) // len(SEEDS)
KILLS_A_BUILD = 4
"""How often one build is killed, and taken up, before another one begins."""
TEXT = """
FROM busybox AS one
ARG ROUND
COPY d /d
RUN --mount=type=cache,target=/log echo $ROUND one >> /log/log && echo $ROUND > /one
FROM busybox
ARG ROUND
RUN --mount=type=cache,target=/log echo $ROUND two >> /log/log && echo $ROUND > /two
COPY --from=one /one /d /
RUN --mount=type=cache,target=/log echo $ROUND three >> /log/log && cat /one /two > /three
"""


@dataclass
class Story:
    """What builds that were killed said of their steps, and how often the RUNs among these were carried out by then."""

    builder: Builder
    context: str
    finished: dict[str, int] = field(default_factory=dict)
    found_again: int = 0

    def build(self, mark: str, moment: float | None) -> None:
        """Build, killed with SIGKILL after `moment` seconds. What was finished must be found, not carried out."""
        command = self.builder.command("build", "--progress", "plain", *flags(mark), self.context)
        with (
            tempfile.TemporaryFile("w+") as said,
            subprocess.Popen(
                command, env=self.builder.environment, stdout=subprocess.DEVNULL, stderr=said
            ) as process,
        ):
            try:
                process.wait(moment)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
            said.seek(0)
            ends = ends_of(said.read())
            said.seek(0)
            assert moment is not None or process.returncode == 0, said.read()
        counts = self.counts(mark)
        for step, end in ends.items():
            if step in self.finished:
                assert end == "CACHED", step
                self.found_again += 1
            self.finished.setdefault(step, counts[step])
        assert {step: counts[step] for step in self.finished} == self.finished

    def counts(self, mark: str) -> Counter[str]:
        """How often each RUN of the build `mark` was carried out, as its own notes on the disk say."""
        logs = (self.builder.root / "build-cache" / "mounts").glob("*/data/log")
        lines = [line.split() for log in logs for line in log.read_text().splitlines()]
        return Counter(f"RUN {name}" for written, name in lines if written == mark)


def flags(mark: str) -> tuple[str, ...]:
    return ("--build-arg", f"ROUND={mark}", "-t", "killed")


def ends_of(said: str) -> dict[str, str]:
    """How each step ended that did, DONE or CACHED, by its instruction or, for a RUN, by the word in its note."""
    names: dict[str, str] = {}
    ends: dict[str, str] = {}
    for vertex, _, rest in (line.partition(" ") for line in said.splitlines()):
        if rest.startswith("[") and "] FROM" not in rest:
            instruction = rest.partition("] ")[2]
            note = re.search(r"\$ROUND (one|two|three) >>", instruction)
            names.setdefault(vertex, f"RUN {note[1]}" if note else instruction)
        elif vertex in names and rest.split(" ")[0] in ("DONE", "CACHED"):
            ends[names[vertex]] = rest.split(" ")[0]
    return ends


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_builds_killed_at_random_moments_leave_a_clean_store_and_what_they_finished(
    lonely_builder: Builder, seed: int
) -> None:
    builder = lonely_builder
    context = str(builder.context(TEXT, {f"d/{number}": str(number) for number in range(50)}))
    began = time.monotonic()
    Story(builder, context).build("whole", None)
    longest = time.monotonic() - began
    moments = random.Random(seed)
    found_again = 0
    for number in range(0, ROUNDS, KILLS_A_BUILD):
        story = Story(builder, context)
        for _ in range(KILLS_A_BUILD):
            story.build(f"r{number}", moments.uniform(0, longest))
            assert fsck(builder.engine).damages == ()
        found_again += story.found_again
    story.build(f"r{number}", None)

    assert builder.read("killed", "/three") == f"r{number}\n" * 2
    assert found_again > ROUNDS / 4
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
