"""Restart policies and health checks, from outside; events; prune."""

import json
import time
from itertools import pairwise

import pytest

from tests.containers.conftest import Lstore

pytestmark = pytest.mark.root


def test_on_failure_starts_again_as_often_as_it_says(lstore: Lstore) -> None:
    script = "echo run >> /runs; wc -l < /runs; exit 3"
    lstore.detached("--name", "failing", "--restart", "on-failure:2", "busybox", "sh", "-c", script)
    home = lstore.home("failing")

    state = lstore.until(home, lambda state: state["status"] == "exited")

    assert (state["exit_code"], state["restarts"]) == (3, 2)
    assert lstore("logs", "failing").split() == ["1", "2", "3"]


def test_each_restart_waits_twice_as_long_as_the_one_before(lstore: Lstore) -> None:
    """By the kernel's clock: 100, 200 and 400 ms at least lie between the starts."""
    script = "cut -d ' ' -f 1 /proc/uptime; exit 1"
    lstore.detached("--name", "failing", "--restart", "on-failure:3", "busybox", "sh", "-c", script)
    lstore.until(lstore.home("failing"), lambda state: state["status"] == "exited")

    starts = [float(line) for line in lstore("logs", "failing").split()]

    waits = [after - before for before, after in pairwise(starts)]
    assert len(waits) == 3
    assert [wait >= least - 0.011 for wait, least in zip(waits, (0.1, 0.2, 0.4), strict=True)] == [True] * 3


def test_on_failure_leaves_a_success_alone(lstore: Lstore) -> None:
    lstore.detached("--name", "fine", "--restart", "on-failure", "busybox", "echo", "run")

    state = lstore.until(lstore.home("fine"), lambda state: state["status"] == "exited")

    assert state["restarts"] == 0
    assert lstore("logs", "fine") == "run"


@pytest.mark.parametrize("policy", ["always", "unless-stopped"])
def test_always_starts_again_until_it_is_stopped(lstore: Lstore, policy: str) -> None:
    lstore.detached(
        "--name", "again", "--restart", policy, "busybox", "sh", "-c", "echo run >> /runs; wc -l < /runs"
    )
    lstore.wait_for_line("again", "3")

    lstore("stop", "again")

    assert lstore.inspect("again", "{{json .State.Status}}") == "exited"
    assert lstore.monitors() == []


def test_a_container_that_waits_for_its_restart_can_be_removed(lstore: Lstore) -> None:
    lstore.detached("--name", "waits", "--restart", "always", "busybox", "false")
    lstore.until(
        lstore.home("waits"), lambda state: state["status"] == "restarting" and state["restarts"] == 2
    )

    lstore("rm", "-f", "waits")

    assert lstore.leftovers() == []


def test_a_killed_container_is_not_started_again(lstore: Lstore) -> None:
    lstore.detached("--name", "killed", "--restart", "always", "busybox", "sleep", "1000")

    lstore("kill", "killed")

    assert lstore("wait", "killed") == "137"
    assert lstore.until(lstore.home("killed"), lambda state: state["status"] == "exited")["restarts"] == 0


def test_health_goes_from_starting_to_healthy_to_unhealthy(lstore: Lstore) -> None:
    options = (
        "--health-interval",
        "50ms",
        "--health-retries",
        "2",
        "--health-cmd",
        "echo looked; test -e /well",
    )
    lstore.detached("--name", "ill", *options, "busybox", "sh", "-c", "touch /well; sleep 1000")
    home = lstore.home("ill")

    lstore.until(home, lambda state: state["health"] == "healthy")
    assert lstore("ps", "--filter", "health=healthy", "--format", "{{.Status}}").endswith("(healthy)")
    lstore("exec", "ill", "rm", "/well")
    state = lstore.until(home, lambda state: state["health"] == "unhealthy")

    assert state["failing"] == 2
    log = lstore.inspect("ill", "{{json .State.Health.Log}}")
    assert isinstance(log, list)
    assert (log[-1]["ExitCode"], log[-1]["Output"]) == (1, "looked\n")
    events = lstore(
        "events", "--since", "1h", "--until", "0s", "--filter", "container=ill", "--format", "{{.Action}}"
    )
    assert [line for line in events.splitlines() if "health" in line] == [
        "health_status: healthy",
        "health_status: unhealthy",
    ]


def test_failures_do_not_count_while_it_starts(lstore: Lstore) -> None:
    options = ("--health-interval", "50ms", "--health-retries", "1", "--health-start-period", "1h")
    check = ("--health-start-interval", "50ms", "--health-cmd", "echo x >> /looks; test -e /well")
    lstore.detached("--name", "slow", *options, *check, "busybox", "sleep", "1000")
    home = lstore.home("slow")

    state = lstore.until(home, lambda state: len(state["probes"]) >= 4)  # type: ignore[arg-type]  # JSON
    lstore("exec", "slow", "touch", "/well")
    lstore.until(home, lambda state: state["health"] == "healthy")

    assert (state["health"], state["failing"]) == ("starting", 0)
    assert int(lstore("exec", "slow", "wc", "-l", "/looks").split()[0]) >= 3


def test_a_check_that_takes_too_long_is_killed_and_counts(lstore: Lstore) -> None:
    options = ("--health-interval", "50ms", "--health-timeout", "100ms", "--health-retries", "1")
    lstore.detached("--name", "slow", *options, "--health-cmd", "sleep 100", "busybox", "sleep", "1000")

    state = lstore.until(lstore.home("slow"), lambda state: state["health"] == "unhealthy")

    (probe, *_) = state["probes"]  # type: ignore[misc]  # JSON
    assert probe["exit_code"] == -1
    assert "exceeded timeout" in probe["output"]
    # The next check may be under way by now; none before it is.
    assert lstore("exec", "slow", "ps", "-o", "args").splitlines().count("sleep 100") <= 1


def test_events_tell_a_container_s_story(lstore: Lstore) -> None:
    lstore.call("run", "--rm", "--name", "story", "--label", "chapter=1", "busybox", "sh", "-c", "exit 4")

    options = ("--since", "1h", "--until", "0s", "--filter", "container=story")
    events = [json.loads(line) for line in lstore("events", *options, "--format", "json").splitlines()]

    def found(*filters: str) -> list[str]:
        given = [word for each in filters for word in ("--filter", each)]
        return lstore("events", *options, *given, "--format", "{{.Action}}").split()

    assert [event["Action"] for event in events] == ["create", "start", "die", "destroy"]
    assert events[2]["Actor"]["Attributes"]["exitCode"] == "4"
    assert found("event=die", "label=chapter=1") == ["die"]
    assert found("event=die", "event=start", "image=busybox", "type=container") == ["start", "die"]
    assert found("label=chapter=2") == found("image=other") == found("type=image") == []
    moment = events[2]["timeNano"]
    later = lstore(
        "events", "--since", f"{moment / 10**9:.6f}", "--until", "0s", "--filter", "container=story"
    )
    earlier = lstore(
        "events", "--since", "1h", "--until", f"{moment / 10**9:.6f}", "--filter", "container=story"
    )
    assert [line.split()[2] for line in later.splitlines()][-1:] == ["destroy"]
    assert [line.split()[2] for line in earlier.splitlines()][:2] == ["create", "start"]
    assert len((later + "\n" + earlier).splitlines()) == 4


def test_events_go_on_as_they_happen(lstore: Lstore) -> None:
    with lstore.under_way(
        "events", "--since", "0", "--filter", "event=rename", "--format", "{{.Action}}"
    ) as watcher:
        lstore("create", "--name", "before", "busybox")
        lstore("rename", "before", "after")
        assert watcher.stdout is not None
        assert watcher.stdout.readline() == b"rename\n"


def test_events_end_at_a_time_to_come(lstore: Lstore) -> None:
    with lstore.under_way("events", "--since", "0", "--until", f"{time.time() + 3:.3f}") as watcher:
        lstore("create", "--name", "meanwhile", "busybox")
        out, _ = watcher.communicate(timeout=60)

    assert watcher.returncode == 0
    last = out.decode().splitlines()[-1].split()
    assert last[1:3] == ["container", "create"]
    assert last[3] == lstore("ps", "-aq", "--no-trunc")


def test_prune_removes_what_does_not_run(lstore: Lstore) -> None:
    lstore("create", "--name", "made", "busybox")
    lstore("create", "--name", "kept", "--label", "keep", "busybox")
    lstore.detached("--name", "runs", "busybox", "sleep", "1000")

    output = lstore("container", "prune", "-f", "--filter", "label!=keep")

    assert output.startswith("Deleted Containers:\n")
    assert "Total reclaimed space: " in output
    assert sorted(lstore("ps", "-a", "--format", "{{.Names}}").split()) == ["kept", "runs"]


def test_prune_asks_and_spares_what_is_new(lstore: Lstore) -> None:
    lstore("create", "--name", "made", "--label", "tier=db", "busybox")
    moment = lstore.inspect("made", "{{json .Created}}")

    asked = lstore.call("container", "prune", stdin=b"n\n")
    spared = [
        lstore("container", "prune", "-f", "--filter", f"until={moment}"),
        lstore("container", "prune", "-f", "--filter", "until=1h"),
        lstore("container", "prune", "-f", "--filter", "label=tier=web"),
    ]
    still = lstore("ps", "-aq").split()
    pruned = lstore("container", "prune", "-f", "--filter", "label=tier=db", "--filter", "until=0s")

    assert "This will remove all stopped containers" in asked.stdout
    assert spared == ["Total reclaimed space: 0B"] * 3
    assert len(still) == 1
    assert still[0] in pruned
    assert lstore.leftovers() == []


def test_top_shows_the_container_s_processes_alone(lstore: Lstore) -> None:
    lstore.detached("--name", "busy", "busybox", "sleep", "987")

    lines = lstore("top", "busy").splitlines()
    custom = lstore("top", "busy", "-o", "pid,args").splitlines()

    assert [line.split()[-2:] for line in lines[1:]] == [["sleep", "987"]]
    assert custom[0].split() == ["PID", "COMMAND"]


def test_the_service_is_a_unit_that_restores(lstore: Lstore) -> None:
    unit = lstore("system", "service")

    assert f"--root {lstore.root} system restore" in unit
    assert "WantedBy=multi-user.target" in unit


def test_ports_are_none_yet(lstore: Lstore) -> None:
    lstore("create", "--name", "made", "busybox")

    assert lstore("port", "made") == ""
    assert "no public port '80'" in lstore.refused("port", "made", "80")


def test_a_health_check_after_a_stop_does_not_undo_it(lstore: Lstore) -> None:
    """The container ends only when two more checks have begun, so one was judged since it was asked to."""
    script = (
        "trap ': > /dev/shm/n; until test $(wc -l < /dev/shm/n) -ge 2; do sleep 0.05; done; exit 3' TERM;"
        " echo ready; while :; do sleep 0.05; done"
    )
    options = ("--restart", "always", "--health-cmd", "echo x >> /dev/shm/n", "--health-interval", "0.1s")
    lstore.detached("--name", "checked", *options, "busybox", "sh", "-c", script)
    lstore.wait_for_line("checked", "ready")

    lstore("stop", "-t", "-1", "checked")

    assert lstore.inspect("checked", "[{{json .State.Status}}, {{.State.ExitCode}}]") == ["exited", 3]
