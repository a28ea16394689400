"""A secret is seen by its step and by nothing else, ever."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from fixtures.builds import Builder

pytestmark = pytest.mark.root

SECRET = "tops3cr3t-" + "ab12" * 4
TEXT = """
FROM busybox
RUN --mount=type=secret,id=file grep -q . /run/secrets/file
RUN --mount=type=secret,id=file,target=/etc/key,mode=0440,uid=1000 ls -ln /etc/key > /seen
RUN --mount=type=secret,id=variable,env=TOKEN test -n "$TOKEN" && test ! -e /run/secrets
RUN env > /environment && test ! -e /run/secrets/file && test ! -e /etc/key
"""


def test_no_file_of_the_store_has_a_secret(lonely_builder: Builder, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f"{SECRET}-file")
    context = lonely_builder.context(TEXT)
    flags = ("--secret", f"id=file,src={tmp_path}/secret", "--secret", "id=variable,env=GIVEN")
    lonely_builder.variables["GIVEN"] = f"{SECRET}-variable"
    results = tmp_path / "results"
    results.mkdir()
    flags += ("--output", f"type=oci,dest={results}/oci.tar", "--output", f"type=local,dest={results}/tree")
    flags += ("--cache-to", f"type=local,dest={results}/cache", "--metadata-file", f"{results}/metadata.json")

    result = lonely_builder.build(context, *flags, "--provenance", "true", "-t", "quiet", quiet=False)

    assert result.status == 0, result.errors
    assert SECRET not in result.errors
    assert found_in(lonely_builder.root) == found_in(results) == []
    assert {path.name for path in results.iterdir()} == {"oci.tar", "tree", "cache", "metadata.json"}
    assert SECRET not in lonely_builder.call("history", "--no-trunc", "quiet").stdout
    assert SECRET not in lonely_builder.call("inspect", "quiet").stdout
    assert lonely_builder.read("quiet", "/seen").split()[:3] == ["-r--r-----", "1", "1000"]
    assert "TOKEN" not in lonely_builder.read("quiet", "/environment")


def test_a_failing_step_leaves_none_behind(lonely_builder: Builder, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET)
    context = lonely_builder.context("FROM busybox\nRUN --mount=type=secret,id=s exit 9")

    result = lonely_builder.build(context, "--secret", f"id=s,src={tmp_path}/secret")

    assert result.status != 0
    assert found_in(lonely_builder.root) == []


def test_a_step_that_is_killed_leaves_none_behind(lonely_builder: Builder, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET)
    mounts = "--mount=type=secret,id=s --mount=type=secret,id=s,env=TOKEN --mount=type=cache,target=/c"
    seen = "env | grep -q $TOKEN && cat /run/secrets/s > /dev/null && touch /c/seen"
    context = lonely_builder.context(f"FROM busybox\nRUN {mounts} {seen} && sleep 76543")
    command = lonely_builder.command("build", "--secret", f"id=s,src={tmp_path}/secret", str(context))
    with subprocess.Popen(
        command, env=lonely_builder.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        deadline = time.monotonic() + 60
        while not list(lonely_builder.root.glob("build-cache/mounts/*/data/seen")):
            assert time.monotonic() < deadline
            os.sched_yield()
        during = found_in(lonely_builder.root)
        process.kill()

    assert during == found_in(lonely_builder.root) == []
    sweeping = lonely_builder.context("FROM busybox\nRUN true")
    lonely_builder.build(sweeping)  # which removes the step's control group


def test_another_secret_is_the_same_step(builder: Builder, tmp_path: Path) -> None:
    context = builder.context("FROM busybox\nRUN --mount=type=secret,id=s cat /run/secrets/s > /dev/null")
    for number in (1, 2):
        (tmp_path / f"secret{number}").write_text(str(number))
    builder.build(context, "--secret", f"id=s,src={tmp_path}/secret1")

    second = builder.build(context, "--secret", f"id=s,src={tmp_path}/secret2", quiet=False)

    assert second.step("RUN") == "CACHED"


def found_in(root: Path) -> list[str]:
    """The files below `root` that have the secret in their names or contents."""
    found = []
    for directory, _, names in os.walk(root):
        for name in names:
            path = Path(directory, name)
            if SECRET in name or (path.is_file() and SECRET.encode() in path.read_bytes()):
                found.append(str(path))
    return found
