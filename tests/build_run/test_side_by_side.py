"""Builds beside each other and beside collections: each ends well, and with the same image."""

import subprocess

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
