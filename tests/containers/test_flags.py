"""Flags of `run` and `create`, by what the container, the kernel or another tool shows. See tests/limits, too."""

import json
import os
import signal
import stat
import subprocess
from pathlib import Path

import pytest

from fixtures.images.entries import file
from fixtures.images.layout import AMD64, ARM64, ImageBuilder, layer
from fixtures.registry import Registry
from tests.containers.conftest import Lstore

pytestmark = pytest.mark.root

FOREVER = ("busybox", "sleep", "1000")
# It needs a moment to end when it is asked to.
SLOW = ("busybox", "sh", "-c", "trap 'sleep 1; exit 3' TERM USR1; echo ready; while :; do sleep 0.05; done")


def inside(lstore: Lstore, *words: str) -> str:
    """What a container prints that is removed at its end; `words` are options, image and command."""
    return lstore("run", "--rm", *words)


def test_an_init_is_the_first_process_and_the_command_its_child(lstore: Lstore) -> None:
    script = "echo $$ $PPID"

    assert inside(lstore, "busybox", "sh", "-c", script) == "1 0"
    own, parent = inside(lstore, "--init", "busybox", "sh", "-c", script).split()

    assert (int(own) > 1, parent) == (True, "1")


def test_shared_memory_has_the_size_that_was_asked_for(lstore: Lstore) -> None:
    script = "df -k /dev/shm | tail -n 1; head -c 2m /dev/zero > /dev/shm/x"

    done = lstore.call("run", "--rm", "--shm-size", "1m", "busybox", "sh", "-c", script)

    assert done.stdout.split()[1] == "1024"
    assert done.returncode == 1


def test_control_groups_and_ids_are_private_or_the_host_s(lstore: Lstore) -> None:
    script = (
        "grep -m 1 -E ':(memory|):' /proc/self/cgroup; readlink /proc/self/ns/cgroup; cat /proc/self/uid_map"
    )

    private = inside(lstore, "--cgroupns", "private", "busybox", "sh", "-c", script).split()
    host = inside(lstore, "--cgroupns", "host", "--userns", "host", "busybox", "sh", "-c", script).split()

    assert private[0].endswith(":/")
    assert "lstore-" in host[0]
    assert private[1] != os.readlink("/proc/self/ns/cgroup") == host[1]
    assert private[2:] == host[2:] == ["0", "0", "4294967295"]


def test_memory_nodes_are_chosen_or_the_kernel_s_refusal_is_told(lstore: Lstore) -> None:
    last = Path("/sys/devices/system/node/online").read_text().strip().replace("-", ",").split(",")[-1]
    script = "grep Mems_allowed_list /proc/self/status"

    assert inside(lstore, "--cpuset-mems", last, "busybox", "sh", "-c", script).split()[1] == last
    assert "cannot choose memory nodes" in lstore.refused(
        "run", "--rm", "--cpuset-mems", str(int(last) + 1), *FOREVER
    )


def test_memory_without_a_limit_of_swap(lstore: Lstore) -> None:
    script = "cd /sys/fs/cgroup; cat memory/memory.memsw.limit_in_bytes memory.swap.max 2> /dev/null; true"

    twice = inside(lstore, "-m", "64m", "busybox", "sh", "-c", script)
    unbound = inside(lstore, "-m", "64m", "--memory-swap", "-1", "busybox", "sh", "-c", script)

    assert twice in (str(128 << 20), str(64 << 20), "")  # a kernel may not count swap
    assert unbound == "max" or not unbound or int(unbound) > 1 << 60


@pytest.fixture
def disk(tmp_path: Path) -> tuple[str, str]:
    """A node of some block device, and its numbers; nothing is read from it."""
    numbers = next(iter(sorted(Path("/sys/block").glob("*/dev"))), None)
    if numbers is None:
        pytest.skip("no block device here")
    major, minor = map(int, numbers.read_text().split(":"))
    os.mknod(tmp_path / "disk", 0o600 | stat.S_IFBLK, os.makedev(major, minor))
    return str(tmp_path / "disk"), f"{major}:{minor}"


def test_rates_of_block_devices_are_in_the_kernel_s_files(lstore: Lstore, disk: tuple[str, str]) -> None:
    path, numbers = disk
    flags = ["--device-read-bps", f"{path}:1m", "--device-write-bps", f"{path}:2mb"]
    flags += ["--device-read-iops", f"{path}:30", "--device-write-iops", f"{path}:40"]
    kinds = ("read_bps", "write_bps", "read_iops", "write_iops")
    files = " ".join(f"blkio/blkio.throttle.{kind}_device" for kind in kinds)

    found = inside(
        lstore, *flags, "busybox", "sh", "-c", f"cd /sys/fs/cgroup; cat io.max 2> /dev/null || cat {files}"
    )

    assert found.splitlines() in (
        [f"{numbers} {rate}" for rate in (1 << 20, 2 << 20, 30, 40)],
        [f"{numbers} rbps=1048576 wbps=2097152 riops=30 wiops=40"],
    )


def test_a_bind_takes_what_is_mounted_below_along_unless_told_not_to(lstore: Lstore, tmp_path: Path) -> None:
    (tmp_path / "source" / "below").mkdir(parents=True)
    nested = Lstore(lstore.root, ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs t $0 && exec "$@"'))
    nested.prefix = (*nested.prefix, f"{tmp_path}/source/below")
    flags = ["-v", f"{tmp_path}/source:/all", "-v", f"{tmp_path}/source:/ro:ro"]
    flags += ["--mount", f"type=bind,src={tmp_path}/source,dst=/alone,bind-nonrecursive"]
    script = (
        "for d in /all /alone /ro; do stat -f -c %T $d/below; touch $d/below/x && echo written; done; true"
    )

    done = nested.call("run", "--rm", *flags, "busybox", "sh", "-c", script)

    kinds = [word for word in done.stdout.split() if word != "written"]
    assert (kinds[0], kinds[1] != "tmpfs", kinds[2]) == ("tmpfs", True, "tmpfs")
    assert done.stdout.split()[1] == "written"
    assert "touch: /ro/below/x: Read-only file system" in done.stderr


def test_labels_are_in_what_is_committed(lstore: Lstore, tmp_path: Path) -> None:
    (tmp_path / "labels").write_text("# comment\nfrom=file\nboth=file\n")
    options = ("--label-file", str(tmp_path / "labels"), "-l", "both=flag", "--label", "bare")
    lstore("create", "--name", "labelled", *options, "busybox")

    lstore("commit", "labelled", "labelled:1")

    layout = f"oci:{lstore.root}/content:labelled:1"
    shown = subprocess.run(
        ["skopeo", "inspect", "--config", layout], capture_output=True, text=True, check=False
    )
    lstore("rmi", "labelled:1")
    assert shown.returncode == 0, shown
    assert json.loads(shown.stdout)["config"]["Labels"] == {"from": "file", "both": "flag", "bare": ""}


def test_a_stop_waits_as_long_as_the_container_or_the_command_says(lstore: Lstore) -> None:
    for name, options in (("short", ("--stop-timeout", "0")), ("long", ()), ("told", ()), ("never", ())):
        lstore.detached("--name", name, *options, *SLOW)
        lstore.wait_for_line(name, "ready")

    lstore("stop", "short", "long")
    lstore("stop", "-t", "0", "told")
    lstore("stop", "-t", "-1", "never")

    assert lstore("wait", "short", "long", "told", "never").split() == ["137", "3", "137", "3"]


def test_stop_and_restart_send_the_signal_that_they_are_told(lstore: Lstore) -> None:
    script = (
        "echo run >> /runs; trap 'echo usr1 >> /runs; exit 3' USR1; trap : TERM; while :; do sleep 0.02; done"
    )
    lstore.detached("--name", "told", "busybox", "sh", "-c", script)
    lstore("exec", "told", "sh", "-c", "until test -s /runs; do sleep 0.02; done")

    lstore("restart", "-s", "USR1", "told")
    lstore("exec", "told", "sh", "-c", "until test $(grep -c run /runs) = 2; do sleep 0.02; done")
    lstore("stop", "-s", str(signal.SIGUSR1.value), "told")
    data = lstore("cp", "told:/runs", "-")

    assert lstore("wait", "told") == "3"
    assert data.count("run\nusr1\nrun\nusr1\n") == 1


def test_a_restart_kills_after_the_time_that_it_is_told(lstore: Lstore) -> None:
    script = (
        "echo run >> /runs; trap 'sleep 2; echo asked >> /runs; exit 3' TERM; while :; do sleep 0.02; done"
    )
    lstore.detached("--name", "told", "busybox", "sh", "-c", script)
    lstore("exec", "told", "sh", "-c", "until test -s /runs; do sleep 0.02; done")

    lstore("restart", "-t", "0", "told")

    assert "asked" not in lstore("exec", "told", "cat", "/runs")


def test_what_the_kernel_killed_for_its_memory_is_told(lstore: Lstore) -> None:
    script = "head -c 100m /dev/zero | tail > /dev/null"

    done = lstore.call(
        "run", "--name", "hungry", "-m", "20m", "--memory-swap", "20m", "busybox", "sh", "-c", script
    )

    assert done.returncode == 137
    assert lstore.inspect("hungry", "{{json .State.OOMKilled}}") is True
    events = lstore(
        "events", "--since", "1h", "--until", "0s", "--filter", "container=hungry", "--format", "{{.Action}}"
    )
    assert "oom" in events.split()


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory, busybox_layout: Path) -> Lstore:
    """A store with an image, checked:1, that has a health check."""
    made = Lstore(tmp_path_factory.mktemp("checked") / "store")
    made("load", "-q", "-i", str(busybox_layout))
    made("create", "--name", "source", "busybox")
    check = "HEALTHCHECK --interval=50ms --retries=1 CMD echo image >> /looks; test ! -e /ill"
    made("commit", "-c", check, "source", "checked:1")
    made("rm", "source")
    return made


def test_an_image_s_health_check_is_made_unless_it_is_turned_off_or_replaced(checked: Lstore) -> None:
    sleep = ("checked:1", "sleep", "1000")
    checked.detached("--name", "as-image", *sleep)
    checked.detached("--name", "turned-off", "--no-healthcheck", *sleep)
    checked.detached("--name", "replaced", "--health-cmd", "echo own >> /looks", *sleep)
    wait = "until test $(wc -l < /looks) -ge 4; do sleep 0.02; done; tail -n 1 /looks"

    seen = [checked("exec", name, "sh", "-c", wait) for name in ("as-image", "replaced")]
    looks = checked.call("exec", "turned-off", "cat", "/looks")
    status = checked("ps", "-a", "--format", "{{.Names}}: {{.Status}}").splitlines()
    checked("rm", "-f", "as-image", "turned-off", "replaced")

    assert seen == ["image", "own"]
    assert looks.returncode == 1
    assert sorted(line.split(":")[0] for line in status if "(healthy)" in line) == ["as-image", "replaced"]


def test_the_platform_that_is_asked_for_is_taken(lstore: Lstore, tmp_path: Path) -> None:
    builder = ImageBuilder()
    images = [
        builder.add_image([layer([file("which", name)])], platform=platform)
        for name, platform in ((b"amd", AMD64), (b"arm", ARM64))
    ]
    builder.add_index(images, tag="both")
    own = Lstore(tmp_path / "store")
    own("load", "-q", "-i", str(builder.write(tmp_path / "layout")))

    for architecture, word in (("amd64", "amd"), ("arm64", "arm")):
        own("create", "--name", architecture, "--platform", f"linux/{architecture}", "both", "x")
        assert own("cp", f"{architecture}:/which", "-").count(word) == 1

    absent = ("create", "--platform", "linux/s390x", "--pull", "never", "both", "x")
    assert "no such image for linux/s390x" in own.refused(*absent)
    own("rm", "amd64", "arm64")


def test_an_image_is_pulled_when_it_is_missing_always_or_never(lstore: Lstore, registry: Registry) -> None:
    name = f"{registry.address}/greeting:1"

    def publish(word: str) -> None:
        lstore("create", "--name", "source", "busybox")
        lstore("commit", "-c", f'CMD ["echo", "{word}"]', "source", name)
        lstore("push", "-q", name)
        lstore("rm", "source")

    publish("first")
    publish("second")
    newest = inside(lstore, "--pull", "never", name)
    lstore("rmi", name)
    absent = lstore.call("run", "--rm", "--pull", "never", name)
    missing = lstore.call("run", "--rm", "--pull", "missing", name)
    publish("third")
    lstore("tag", "busybox", name)
    kept = lstore.call("run", "--rm", name, "sh", "-c", "echo busybox")
    always = lstore.call("run", "--rm", "--pull", "always", "-q", name)
    lstore("rmi", "-f", name)

    assert newest == "second"
    assert (absent.returncode, "no such image" in absent.stderr) == (125, True)
    assert missing.stdout == "second\n"
    assert kept.stdout == "busybox\n"
    assert (always.stdout, always.stderr) == ("third\n", "")
    assert missing.stderr != ""
