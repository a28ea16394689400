"""Builds beside each other and beside collections: each ends well, and with the same image."""

import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from fixtures.builds import Builder

pytestmark = pytest.mark.root

TEXT = """
FROM busybox AS one
RUN echo one > /one
FROM busybox AS two
COPY f /two
FROM busybox
COPY --from=one /one /
COPY --from=two /two /
RUN --mount=type=bind,from=one,target=/mnt --mount=type=cache,sharing=locked,target=/c cat /mnt/one /two > /both
"""


def test_nothing_is_collected_that_a_build_reads(lonely_builder: Builder) -> None:
    context = str(lonely_builder.context(TEXT, {"f": "two\n"}))
    epoch = ("--build-arg", "SOURCE_DATE_EPOCH=1")
    command = lonely_builder.command("build", "-q", "--no-cache", *epoch, context)
    builds = [
        subprocess.Popen(
            command, env=lonely_builder.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(3)
    ]

    while any(build.poll() is None for build in builds):
        lonely_builder.call("builder", "prune", "-f").check_returncode()
        lonely_builder.call("system", "prune", "-f").check_returncode()

    ends = [(build.returncode, *build.communicate()) for build in builds]
    assert [status for status, _, _ in ends] == [0, 0, 0], ends
    assert len({out for _, out, _ in ends}) == 1
    assert lonely_builder.call("fsck").returncode == 0


def test_builds_of_one_dockerfile_at_once_come_to_one_image(lonely_builder: Builder) -> None:
    text = "FROM busybox AS one\nCOPY d /d\nRUN echo x > /x\nFROM busybox\nCOPY --from=one /d /x /r/\nRUN cat /r/x > /y"
    context = lonely_builder.context(text, {f"d/{number}": str(number) for number in range(200)})
    lonely_builder.variables["SOURCE_DATE_EPOCH"] = "1"

    with ThreadPoolExecutor() as threads:
        results = list(threads.map(lambda _: lonely_builder.build(context, "-t", "same"), range(6)))

    assert [result.status for result in results] == [0] * 6, [result.errors for result in results]
    assert len({result.id for result in results}) == 1
    assert lonely_builder.call("fsck").returncode == 0
    after = lonely_builder.build(context, quiet=False)
    assert after.step("RUN cat /r/x") == "CACHED"
    assert lonely_builder.read("same", "/y") == "x\n"
