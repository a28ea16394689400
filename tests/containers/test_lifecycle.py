"""create, run -d, start, stop, restart, kill, pause, rename, wait, rm, ps: what docker's users expect of them."""

import json
import os
import select
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.containers.conftest import Lstore

pytestmark = pytest.mark.root

FOREVER = ("busybox", "sleep", "1000")
ASKABLE = (
    "busybox",
    "sh",
    "-c",
    "trap 'exit 3' TERM; trap 'echo usr1' USR1; echo ready; while :; do sleep 0.05; done",
)


def test_a_container_goes_from_created_to_running_to_exited_and_back(lstore: Lstore) -> None:
    lstore(
        "create",
        "--name",
        "life",
        "busybox",
        "sh",
        "-c",
        "test -e /twice && exit 9; touch /twice; sleep 1000",
    )
    assert lstore.inspect("life", "{{json .State.Status}}") == "created"

    assert lstore("start", "life") == "life"
    assert lstore.inspect("life", "{{json .State.Running}}") is True
    assert lstore("stop", "-t", "0", "life") == "life"
    assert lstore.inspect("life", "{{json .State.ExitCode}}") == 137
    lstore("start", "life")

    assert lstore("wait", "life") == "9"
    assert lstore.inspect("life", "{{json .State.Status}}") == "exited"


def test_what_runs_in_the_background_gives_its_id_and_outlives_its_launcher(lstore: Lstore) -> None:
    identity = lstore.detached("--name", "back", *FOREVER)

    assert len(identity) == 64
    assert lstore("ps", "-q", "--no-trunc") == identity
    assert len(lstore.monitors()) == 1


def test_a_container_is_found_by_its_id_its_name_and_a_unique_prefix(lstore: Lstore) -> None:
    identity = lstore("create", "--name", "findable", "busybox")

    for word in (identity, identity[:12], identity[:3], "findable"):
        assert lstore("inspect", "--format", "{{.Id}}", word) == identity
    assert "no such container: nowhere" in lstore.refused("start", "nowhere")


def test_a_name_belongs_to_one_container_until_it_is_removed_or_renamed(lstore: Lstore) -> None:
    lstore("create", "--name", "taken", "busybox")

    assert "the name 'taken' is in use" in lstore.refused("create", "--name", "taken", "busybox")
    assert len(lstore("ps", "-aq").split()) == 1
    lstore("rename", "taken", "free")
    lstore("create", "--name", "taken", "busybox")
    assert "is in use" in lstore.refused("rename", "taken", "free")
    lstore("rm", "taken", "free")

    lstore("create", "--name", "taken", "busybox")


def test_the_exit_status_of_run_is_the_process_s_and_what_it_writes_comes_through(lstore: Lstore) -> None:
    done = lstore.call("run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2; exit 5")

    assert (done.returncode, done.stdout, done.stderr) == (5, "out\n", "err\n")


def test_a_command_that_cannot_start_leaves_a_created_container_that_says_why(lstore: Lstore) -> None:
    done = lstore.call("run", "--name", "nothing", "busybox", "/nothing")

    assert done.returncode == 127
    state = lstore.inspect("nothing", "{{json .State}}")
    assert isinstance(state, dict)
    assert (state["Status"], state["ExitCode"]) == ("created", 127)
    assert "cannot find /nothing" in state["Error"]


def test_rm_after_the_end_leaves_nothing_whatever_the_end(lstore: Lstore) -> None:
    for command, status in (
        (["true"], 0),
        (["false"], 1),
        (["/nothing"], 127),
        (["sh", "-c", "kill -9 $$"], 137),
    ):
        assert lstore.call("run", "--rm", "--init", "busybox", *command).returncode == status
        assert lstore.leftovers() == []


def test_stop_sends_the_stop_signal_and_kills_only_who_does_not_listen(lstore: Lstore) -> None:
    lstore.detached("--name", "listens", *ASKABLE)
    lstore.detached("--name", "other", "--stop-signal", "USR1", "--stop-timeout", "1", *ASKABLE)
    for name in ("listens", "other"):
        lstore.wait_for_line(name, "ready")

    lstore("stop", "listens", "other")

    assert lstore("wait", "listens", "other").split() == ["3", "137"]
    assert lstore("logs", "other").split() == ["ready", "usr1"]


def test_stopping_what_does_not_run_is_no_error_and_killing_it_is(lstore: Lstore) -> None:
    lstore("create", "--name", "still", "busybox")

    assert lstore("stop", "still") == "still"
    assert "is not running" in lstore.refused("kill", "still")


def test_kill_sends_any_signal(lstore: Lstore) -> None:
    lstore.detached("--name", "killed", *ASKABLE)
    lstore.wait_for_line("killed", "ready")

    lstore("kill", "-s", "SIGUSR1", "killed")
    lstore.wait_for_line("killed", "usr1")
    lstore("kill", "killed")

    assert lstore("wait", "killed") == "137"


def test_restart_is_another_run_of_the_same_container(lstore: Lstore) -> None:
    lstore.detached("--name", "again", "busybox", "sh", "-c", "echo run >> /runs; cat /runs; sleep 1000")
    lstore.wait_for_line("again", "run")
    before = lstore.inspect("again", "{{json .State.Pid}}")

    lstore("restart", "-t", "0", "again")

    assert lstore.inspect("again", "{{json .State.Pid}}") != before
    with lstore.under_way("logs", "-f", "again") as follower:
        assert follower.stdout is not None
        assert [follower.stdout.readline() for _ in range(3)] == [b"run\n"] * 3


def test_a_paused_container_stands_still_until_it_goes_on(lstore: Lstore) -> None:
    lstore.detached("--name", "frozen", "busybox", "sh", "-c", "while :; do date +%N; sleep 0.01; done")

    lstore("pause", "frozen")
    first = lstore("logs", "frozen")
    assert lstore("ps", "--filter", "status=paused", "--format", "{{.Names}}: {{.Status}}").endswith(
        "(Paused)"
    )
    second = lstore("logs", "frozen")
    assert "it is paused" in lstore.refused("exec", "frozen", "true")
    lstore("unpause", "frozen")

    assert first == second
    assert lstore("exec", "frozen", "echo", "moves") == "moves"


def test_a_paused_container_can_be_stopped(lstore: Lstore) -> None:
    lstore.detached("--name", "frozen", *FOREVER)
    lstore("pause", "frozen")

    lstore("stop", "-t", "1", "frozen")

    assert lstore.inspect("frozen", "{{json .State.Status}}") == "exited"


def test_what_runs_is_removed_only_by_force(lstore: Lstore) -> None:
    lstore.detached("--name", "busy", *FOREVER)

    assert "cannot remove busy: it is running" in lstore.refused("rm", "busy")
    assert lstore("rm", "-f", "busy") == "busy"
    assert lstore.leftovers() == []


def test_several_at_once_fail_one_by_one(lstore: Lstore) -> None:
    lstore("create", "--name", "one", "busybox")
    lstore("create", "--name", "two", "busybox")

    done = lstore.call("rm", "one", "missing", "two")

    assert (done.returncode, done.stdout) == (1, "one\ntwo\n")
    assert "no such container: missing" in done.stderr


def test_the_id_is_written_to_a_file_that_must_be_new(lstore: Lstore, tmp_path: Path) -> None:
    path = tmp_path / "cid"

    identity = lstore.detached("--cidfile", str(path), "busybox")

    assert path.read_text() == identity
    assert "container ID file found" in lstore.refused("run", "--cidfile", str(path), "busybox")
    assert len(lstore("ps", "-aq").split()) == 1


def test_the_list_is_docker_s(lstore: Lstore) -> None:
    lstore("create", "--name", "made", "--label", "tier=db", "busybox", "sh", "-c", "echo a long command")
    lstore.detached("--name", "runs", *FOREVER)

    lines = lstore("ps", "-a").splitlines()

    assert lines[0].split("  ")[0] == "CONTAINER ID"
    assert lines[0].split() == ["CONTAINER", "ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"]
    assert '"sleep 1000"' in lines[1]
    assert '"sh -c echo a long c…"' in lines[2]
    assert lstore("ps", "--format", "{{.Names}} {{.State}}") == "runs running"
    assert lstore("ps", "-l", "--format", "{{.Names}}") == "runs"
    assert lstore("ps", "-n", "2", "--format", "{{.Names}}").split() == ["runs", "made"]


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        (["status=created"], ["made"]),
        (["status=exited"], ["ended"]),
        (["exited=3"], ["ended"]),
        (["exited=0"], []),
        (["name=^ma"], ["made"]),
        (["label=tier"], ["made", "runs"]),
        (["label=tier=db"], ["made"]),
        (["label!=tier=db"], ["ended", "runs"]),
        (["ancestor=busybox"], ["ended", "made", "runs"]),
        (["ancestor=not-here"], []),
        (["health=none", "label=tier"], ["made", "runs"]),
        (["health=healthy"], []),
        (["status=running"], ["runs"]),
        (["before=runs"], ["ended", "made"]),
        (["since=ended"], ["runs"]),
        (["network=none", "label=tier"], ["made", "runs"]),
        (["status=created", "status=exited"], ["ended", "made"]),
    ],
)
def test_the_list_is_filtered_as_docker_filters_it(
    three: Lstore, filters: list[str], names: list[str]
) -> None:
    options = [word for each in filters for word in ("--filter", each)]

    assert sorted(three("ps", "-a", "--format", "{{.Names}}", *options).split()) == names


def test_the_list_knows_ids_and_descendants_of_images(lstore: Lstore) -> None:
    lstore.call("run", "--name", "base", "busybox", "touch", "/more")
    lstore("commit", "base", "derived:1")
    identity = lstore("create", "--name", "derived", "derived:1")

    def found(*filters: str) -> list[str]:
        return sorted(lstore("ps", "-a", "--format", "{{.Names}}", *filters).split())

    assert found("--filter", f"id={identity[:9]}") == ["derived"]
    assert found("--filter", "ancestor=busybox") == ["base", "derived"]
    assert found("--filter", "ancestor=derived:1") == ["derived"]
    lstore("rm", "base", "derived")
    lstore("rmi", "derived:1")


def test_sizes_are_what_the_kernel_counts(lstore: Lstore) -> None:
    """The blocks of what the container wrote, and nothing of its image."""
    lstore.call("run", "--name", "wrote", "busybox", "sh", "-c", "head -c 3m /dev/urandom > /big; sync")
    upper = lstore.root / "snapshots" / "active" / lstore.home("wrote").name / "upper"
    counted = subprocess.run(["du", "-s", "-B1", str(upper)], capture_output=True, text=True, check=True)
    blocks = int(counted.stdout.split()[0])

    listed = lstore("ps", "-a", "-s", "--format", "{{.Size}}")
    table = lstore("ps", "-as").splitlines()[0].split()
    (inspected,) = json.loads(lstore("inspect", "-s", "wrote"))

    assert inspected["SizeRw"] == blocks
    assert (listed[:3], listed[-2:]) == ("3.1", "MB")
    assert table[-1] == "SIZE"
    assert "SIZE" not in lstore("ps", "-a")


def test_ids_are_whole_where_asked_for(lstore: Lstore) -> None:
    identities = [lstore("create", "--name", name, "busybox") for name in ("first", "second", "third")]

    assert lstore("ps", "-aq", "--no-trunc").split() == identities[::-1]
    assert lstore("ps", "-qn", "2").split() == [identity[:12] for identity in identities[:0:-1]]
    assert lstore("ps", "-ql", "--no-trunc") == identities[-1]
    assert lstore("ps", "-q") == ""


def test_a_container_that_was_renamed_is_removed_at_its_end_with_its_new_name(lstore: Lstore) -> None:
    lstore.detached("--rm", "--name", "before", *FOREVER)
    (monitor,) = lstore.monitors()
    pidfd = os.pidfd_open(monitor)

    lstore("rename", "before", "after")
    assert lstore("exec", "after", "cat", "/proc/1/comm") == "sleep"
    os.kill(int(lstore("inspect", "-f", "{{.State.Pid}}", "after")), signal.SIGKILL)
    select.select([pidfd], [], [])
    os.close(pidfd)

    assert lstore.leftovers() == []


def test_a_removal_by_force_misses_nobody(lstore: Lstore) -> None:
    lstore.detached("--name", "busy", *FOREVER)
    pid = lstore.inspect("busy", "{{json .State.Pid}}")

    done = lstore.call("rm", "-fv", "missing", "busy")

    assert (done.returncode, done.stdout, done.stderr) == (0, "missing\nbusy\n", "")
    assert not Path(f"/proc/{pid}").exists()


def test_a_pause_is_the_kernel_s_freezer_and_a_signal_waits_for_its_end(lstore: Lstore) -> None:
    script = "trap 'echo usr2' USR2; echo ready; while :; do sleep 0.02; done"
    lstore.detached("--name", "busy", "busybox", "sh", "-c", script)
    lstore.wait_for_line("busy", "ready")

    before = frozen(lstore, "busy")
    lstore("pause", "busy")
    meanwhile = frozen(lstore, "busy")
    lstore("kill", "-s", "12", "busy")
    lstore("unpause", "busy")

    assert (before, meanwhile, frozen(lstore, "busy")) == (False, True, False)
    lstore.wait_for_line("busy", "usr2")


def frozen(lstore: Lstore, name: str) -> bool:
    """What the kernel says of the control group of the container's first process."""
    text = Path(f"/proc/{lstore('inspect', '-f', '{{.State.Pid}}', name)}/cgroup").read_text()
    groups = dict(line.split(":", 2)[1:] for line in text.splitlines())
    if "freezer" in groups:
        return Path(f"/sys/fs/cgroup/freezer{groups['freezer']}/freezer.state").read_text() == "FROZEN\n"
    return "frozen 1" in Path(f"/sys/fs/cgroup{groups['']}/cgroup.events").read_text()


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory, busybox_layout: Path) -> Iterator[Lstore]:
    """Containers that are created, exited and running, in a store of their own."""
    made = Lstore(tmp_path_factory.mktemp("three") / "store")
    made("load", "-q", "-i", str(busybox_layout))
    made("create", "--name", "made", "--label", "tier=db", "busybox")
    made.call("run", "--name", "ended", "busybox", "sh", "-c", "exit 3")
    made.detached("--name", "runs", "--label", "tier=web", *FOREVER)
    yield made
    made("rm", "-f", "made", "ended", "runs")


def test_thirty_two_at_once_all_succeed_and_leave_nothing(lstore: Lstore) -> None:
    with ThreadPoolExecutor(max_workers=32) as pool:
        runs = [pool.submit(lstore.call, "run", "--rm", "busybox", "true") for _ in range(32)]
        outcomes = [(run.result().returncode, run.result().stderr) for run in runs]

    assert outcomes == [(0, "")] * 32
    assert lstore.leftovers() == []


def test_signals_go_through_the_client_to_the_process(lstore: Lstore) -> None:
    with lstore.under_way("run", "--rm", *ASKABLE) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == b"ready\n"
        client.send_signal(signal.SIGUSR1)
        assert client.stdout.readline() == b"usr1\n"
        client.send_signal(signal.SIGTERM)
        assert client.wait(60) == 3


def test_without_sig_proxy_signals_are_the_client_s_own(lstore: Lstore) -> None:
    with lstore.under_way("run", "--name", "askable", "--sig-proxy=false", *ASKABLE) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == b"ready\n"
        client.send_signal(signal.SIGTERM)
        client.wait(60)

    assert lstore("exec", "askable", "echo", "runs") == "runs"
    assert lstore("logs", "askable") == "ready"


def test_a_switch_is_turned_off_as_docker_users_spell_it(lstore: Lstore) -> None:
    lstore(
        "create",
        "--name",
        "off",
        "--init",
        "--init=false",
        "-e",
        "--init=1",
        "busybox",
        "cat",
        "/proc/1/comm",
    )

    assert lstore("start", "-a", "off") == "cat"
    assert lstore("inspect", "--format", "{{.Config.Env}}", "off").count("--init=1") == 1


def test_an_init_reaps_orphans_and_passes_signals_on(lstore: Lstore) -> None:
    script = (
        "sh -c 'sleep 0 & exit' ; trap 'echo term; exit 4' TERM; echo ready; while :; do sleep 0.05; done"
    )
    lstore.detached("--init", "--name", "init", "busybox", "sh", "-c", script)
    lstore.wait_for_line("init", "ready")

    # Its sleeps come and go meanwhile.
    states = lstore("exec", "init", "sh", "-c", "cat /proc/[0-9]*/stat 2> /dev/null; true").splitlines()
    lstore("stop", "init")

    assert states
    assert not [line for line in states if ") Z 1 " in line]
    assert lstore("wait", "init") == "4"
    assert lstore("logs", "init").split() == ["ready", "term"]


def test_labels_and_settings_are_seen_by_inspect(lstore: Lstore) -> None:
    lstore(
        "create",
        "--name",
        "set",
        "--label",
        "a=b",
        "--stop-timeout",
        "7",
        "--restart",
        "on-failure:3",
        "busybox",
        "x",
    )

    found = lstore.inspect("set")

    assert isinstance(found, dict)
    assert found["Name"] == "/set"
    assert found["Config"]["Labels"] == {"a": "b"}
    assert found["Config"]["Cmd"] == ["x"]
    assert found["Config"]["StopTimeout"] == 7
    assert found["HostConfig"]["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 3}


def test_what_is_inspected_is_a_container_before_an_image_unless_told_otherwise(lstore: Lstore) -> None:
    identity = lstore("create", "--name", "busybox", "busybox")
    layout = lstore.root / "content" / "blobs" / "sha256"
    asked = ("inspect", "-f", "{{.Id}}")

    assert lstore(*asked, "busybox") == lstore(*asked, "--type", "container", "busybox") == identity
    image = lstore(*asked, "--type", "image", "busybox")
    assert "rootfs" in json.loads((layout / image.removeprefix("sha256:")).read_text())
    lstore("rm", "busybox")
    assert lstore(*asked, "busybox") == image
    assert "no such container: busybox" in lstore.refused(*asked, "--type", "container", "busybox")


def test_images_that_containers_stand_on_are_not_collected(lstore: Lstore, busybox_layout: Path) -> None:
    own = Lstore(lstore.root.parent / "collected")
    own("load", "-q", "-i", str(busybox_layout))
    own("create", "--name", "stands", "busybox", "echo", "still here")

    own("rmi", "-f", "busybox")
    own("image", "prune", "-af")

    assert own("start", "-a", "stands") == "still here"
    own("rm", "stands")


@pytest.mark.parametrize(("option", "waits"), [("--rm", False), ("--label=kept", True)])
def test_only_what_is_kept_waits_for_the_disk(lstore: Lstore, option: str, waits: bool) -> None:
    """overlayfs syncs the whole file system below it at the end, unless it is mounted volatile."""
    mounts = lstore("run", option, "--name", "written", "busybox", "grep", "upperdir=", "/proc/mounts")

    assert ("volatile" not in mounts) is waits
    lstore.call("rm", "written")


def test_a_monitor_is_small_and_does_nothing_while_nothing_happens(
    lstore: Lstore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("COVERAGE")]:
        monkeypatch.delenv(name)  # what measures the launcher is in its copy, too
    for number in range(3):
        lstore.detached("--name", f"idle{number}", *FOREVER)

    sizes, times = [], []
    for pid in lstore.monitors():
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        # Its own pages alone: how much of the interpreter's is counted in depends on who else runs one.
        sizes.append(sum(int(line.split()[1]) for line in rollup if line.startswith("Private_")))
        switches = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if "ctxt" in line]
        times.append((pid, switches))

    assert len(sizes) == 3
    assert max(sizes) <= 6 << 10
    select.select([], [], [], 0.2)
    for pid, before in times:
        status = Path(f"/proc/{pid}/status").read_text().splitlines()
        assert [line for line in status if "ctxt" in line] == before


def test_monitors_import_nothing_heavy(lstore: Lstore) -> None:
    script = "import sys; import lstore.engine.containers.monitor_main; print(*sys.modules)"
    command = [
        "/usr/bin/env",
        "python3",
        "-I",
        "-S",
        "-c",
        f"import sys; sys.path.insert(0, {str(Path.cwd())!r}); {script}",
    ]

    modules = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()

    assert {"click", "requests", "rich", "dataclasses", "typing", "socket", "subprocess"}.isdisjoint(modules)


def test_top_shows_no_process_of_the_host_s_to_a_container_that_does(lstore: Lstore) -> None:
    lstore.detached("--name", "box", "--pid", "host", "busybox", "sleep", "54321")
    lstore("exec", "-d", "box", "sleep", "12345")

    lines = lstore("top", "box", "-eo", "pid,args").splitlines()[1:]

    assert sorted(line.split(None, 1)[1] for line in lines) == ["sleep 12345", "sleep 54321"]


def test_a_start_that_failed_leaves_nothing_of_the_state_it_would_have_had(lstore: Lstore) -> None:
    assert lstore.call("run", "--name", "lost", "busybox", "nowhere").returncode == 127

    assert lstore("inspect", "--format", "{{.State.Status}} {{.State.ExitCode}}", "lost") == "created 127"
    assert [name for name in os.listdir(lstore.home("lost")) if name.startswith(".tmp-")] == []
