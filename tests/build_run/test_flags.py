"""Each flag by what it does: seen from inside a step, from the kernel, or by another tool."""

import json
import os
import pty
import select
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fixtures.builds import Builder
from fixtures.images.entries import file
from fixtures.images.layout import ImageBuilder, layer
from fixtures.images.publish import publish
from fixtures.registry import Registry

pytestmark = pytest.mark.root

SYS_ADMIN = 1 << 21
PATIENCE = 60
VERSION2 = "cd /sys/fs/cgroup; test -e memory.max && cat {0} || cat {1}"


def seen(builder: Builder, command: str, *flags: str, options: str = "") -> str:
    """What a step of busybox prints under these flags, or with these options of its own."""
    image = builder.image(f"FROM busybox\nRUN {options} ( {command} ) > /seen", None, *flags)
    return builder.read(image, "/seen").rstrip("\n")


@pytest.mark.parametrize(
    ("flags", "options", "is_host"),
    [
        ((), "", True),
        (("--network", "default"), "", True),
        (("--network", "host"), "", True),
        (("--network", "none"), "", False),
        (("--network", "none"), "--network=default", False),
        (("--network", "none"), "--network=host", True),
        (("--network", "host"), "--network=none", False),
    ],
)
def test_network(builder: Builder, flags: tuple[str, ...], options: str, is_host: bool) -> None:
    namespace = seen(builder, "readlink /proc/self/ns/net; ls /sys/class/net", *flags, options=options)

    found, *interfaces = namespace.splitlines()
    assert (found == os.readlink("/proc/self/ns/net")) is is_host
    assert is_host or interfaces == ["lo"]


def test_allow_and_security(builder: Builder) -> None:
    show = "grep CapEff /proc/self/status"

    confined = seen(builder, show, "--allow", "security.insecure", "--allow", "network.host")
    insecure = seen(builder, show, "--allow", "security.insecure", options="--security=insecure")
    refused = builder.build(builder.context("FROM scratch"), "--allow", "everything")

    assert int(confined.split()[1], 16) & SYS_ADMIN == 0
    assert int(insecure.split()[1], 16) & SYS_ADMIN == SYS_ADMIN
    assert (refused.status, "invalid --allow 'everything'" in refused.errors) == (125, True)


@pytest.mark.parametrize(
    ("flags", "command", "expected"),
    [
        (("-m", "64m"), VERSION2.format("memory.max", "memory/memory.limit_in_bytes"), [str(64 << 20)]),
        (("--memory", "65m"), VERSION2.format("memory.max", "memory/memory.limit_in_bytes"), [str(65 << 20)]),
        (
            ("--cpus", "0.5"),
            VERSION2.format("cpu.max", "cpu*/cpu.cfs_quota_us cpu*/cpu.cfs_period_us"),
            ["50000", "100000"],
        ),
        (("--shm-size", "8m"), "df -k /dev/shm | tail -n 1 | tr -s ' ' | cut -d ' ' -f 2", ["8192"]),
        (("--ulimit", "nofile=77:99"), "ulimit -Sn; ulimit -Hn", ["77", "99"]),
        (("--add-host", "box:10.1.2.3"), "grep -w box /etc/hosts | cut -d ' ' -f 1 | cut -f 1", ["10.1.2.3"]),
        (("--build-arg", "http_proxy=http://p:1"), "echo $http_proxy", ["http://p:1"]),
    ],
)
def test_what_steps_find(builder: Builder, flags: tuple[str, ...], command: str, expected: list[str]) -> None:
    given, plain = (seen(builder, command, "--no-cache", *each).split() for each in (flags, ()))

    assert given[: len(expected)] == expected
    assert plain[: len(expected)] != expected


def test_build_arguments_come_from_the_environment_too(builder: Builder) -> None:
    text = "FROM busybox\nARG GIVEN=default\nARG OTHER=default\nRUN echo $GIVEN $OTHER > /seen"
    context = builder.context(text)
    builder.variables["GIVEN"] = "from the environment"

    result = builder.build(context, "--build-arg", "GIVEN", "--build-arg", "OTHER")

    del builder.variables["GIVEN"]
    assert builder.read(result.id, "/seen") == "from the environment default\n"


def test_pull(builder: Builder, registry: Registry, tmp_path: Path) -> None:
    name = f"{registry.address}/base:1"
    context = builder.context(f"FROM {name}\nLABEL a=b")
    found = []
    for version, flags in (("old", ()), ("new", ()), ("new", ("--pull",))):
        images = ImageBuilder()
        images.add_image([layer([file("version", version.encode())])], tag="1")
        publish(images.write(tmp_path / f"{version}{len(flags)}"), registry.storage, "base")

        found.append(builder.read(builder.build(context, *flags).id, "/version"))

    assert found == ["old", "old", "new"]


@pytest.mark.package("skopeo")
def test_annotation_label_and_tag(builder: Builder, tmp_path: Path) -> None:
    output = f"type=oci,dest={tmp_path}/result.tar"
    flags = ("--annotation", "a=b", "--annotation", "c=d=e", "--label", "l=v", "--tag", "x/y:1", "-t", "z")

    builder.image("FROM scratch\nLABEL l=w k=1", None, *flags, "--output", output)

    place = f"oci-archive:{tmp_path}/result.tar:docker.io/x/y:1"
    inspect = ("skopeo", "inspect")
    manifest, config = (
        json.loads(subprocess.run([*inspect, how, place], check=True, capture_output=True).stdout)
        for how in ("--raw", "--config")
    )
    assert manifest["annotations"].items() >= {"a": "b", "c": "d=e"}.items()
    assert config["config"]["Labels"] == {"l": "v", "k": "1"}
    listed = builder.call("images", "--format", "{{.Repository}}:{{.Tag}}").stdout.split()
    assert {"x/y:1", "z:latest"} <= set(listed)


def test_file_and_the_ignore_file_beside_it(builder: Builder) -> None:
    files = {"sub/Other": "FROM scratch\nCOPY . /", "a": "", "b": "", ".dockerignore": "a\n"}
    context = builder.context("FROM scratch\nRUN false", {**files, "sub/Other.dockerignore": "b\nsub\n.*\n"})

    short, long = (builder.build(context, flag, f"{context}/sub/Other").id for flag in ("-f", "--file"))

    assert sorted(builder.tree(short)) == ["Dockerfile", "a"]
    assert short == long


def test_raw_progress_is_one_object_a_line(builder: Builder) -> None:
    context = builder.context("FROM busybox\nRUN echo said; echo more > /f")

    done = builder.call("build", "--progress", "rawjson", str(context))

    events = [json.loads(line) for line in done.stderr.splitlines()]
    (vertex,) = (event["vertex"] for event in events if "RUN echo said" in event.get("name", ""))
    about = [event for event in events if event["vertex"] == vertex]
    assert [event["log"] for event in about if "log" in event] == ["said\n"]
    assert about[-1]["outcome"] == "done"


@contextmanager
def terminal() -> Iterator[tuple[int, int]]:
    """Our side of a terminal, and the other."""
    ours, theirs = pty.openpty()
    try:
        yield ours, theirs
    finally:
        os.close(ours)


def shown(builder: Builder, *flags: str) -> str:
    """What a build with these flags writes to a terminal."""
    command = builder.command("build", *flags, str(builder.context("FROM busybox\nRUN echo in a step")))
    environment = {**builder.environment, "TERM": "xterm", "COLUMNS": "100"}
    data = b""
    with terminal() as (ours, theirs):
        with subprocess.Popen(command, env=environment, stdout=theirs, stderr=theirs) as process:
            os.close(theirs)
            deadline = time.monotonic() + PATIENCE
            while process.poll() is None or select.select([ours], [], [], 0)[0]:
                assert time.monotonic() < deadline
                if select.select([ours], [], [], 0.1)[0]:
                    try:
                        data += os.read(ours, 1 << 16)
                    except OSError:  # nobody has the other side any more: pty(7)
                        break
        assert process.returncode == 0, data
    return data.decode()


def test_a_terminal_has_a_tree_and_plain_lines_where_they_are_asked_for(builder: Builder) -> None:
    auto, tty, plain = (shown(builder, *flags) for flags in ((), ("--progress=tty",), ("--progress=plain",)))

    for tree in (auto, tty):
        assert "\x1b[" in tree
        assert "[2/2] RUN echo in a step" in tree
        assert "#2 " not in tree
    assert "#2 [2/2] RUN echo in a step" in plain
    assert "\x1b[" not in plain


def test_quiet_says_the_id_alone(builder: Builder) -> None:
    context = str(builder.context("FROM busybox\nRUN echo noise"))

    short, long = (builder.call("build", flag, context) for flag in ("-q", "--quiet"))

    assert (short.stderr, long.stderr) == ("", "")
    assert short.stdout == long.stdout == f"{short.stdout.strip()}\n"
    assert builder.call("image", "inspect", "-f", "{{.Id}}", short.stdout.strip()).stdout == short.stdout
