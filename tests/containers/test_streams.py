"""logs and attach: what a container writes is kept in order and bounded, and seen by whoever joins."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from runner.log_file import MAX_LINE, LogFile
from tests.containers.conftest import Lstore

pytestmark = pytest.mark.root

CHATTY = ("busybox", "sh", "-c", "for i in 1 2 3 4 5; do echo out $i; echo err $i >&2; done")


def test_logs_keep_streams_and_order(lstore: Lstore) -> None:
    lstore.call("run", "--name", "chatty", *CHATTY)

    done = lstore.call("logs", "chatty")

    assert done.stdout.split("\n") == [*(f"out {n}" for n in range(1, 6)), ""]
    assert done.stderr.split("\n") == [*(f"err {n}" for n in range(1, 6)), ""]


def test_logs_are_cut_by_lines_and_by_time(lstore: Lstore) -> None:
    lstore.call("run", "--name", "chatty", *CHATTY)

    stamped = [line.split(" ", 1) for line in lstore("logs", "-t", "chatty").splitlines()]
    middle = stamped[2][0]

    assert [text for _, text in stamped] == [f"out {n}" for n in range(1, 6)]
    last = lstore.call("logs", "--tail", "4", "chatty")
    assert (last.stdout + last.stderr).count("\n") == 4
    assert lstore("logs", "--tail", "0", "chatty") == ""
    for everything in (("--tail", "-1"), ("-n", "-20"), ("--tail=-1",), ("--tail", "all")):
        assert lstore("logs", *everything, "chatty").count("out") == 5
    assert "invalid number of lines" in lstore.refused("logs", "--tail", "few", "chatty")
    assert lstore("logs", "--since", "1h", "chatty").count("out") == 5
    assert lstore("logs", "--until", "1h", "chatty") == ""
    assert "out 3" in lstore("logs", "--since", middle, "chatty")
    assert "invalid time" in lstore.refused("logs", "--since", "whenever", "chatty")


def test_followed_logs_go_on_across_a_rotation_until_the_end(lstore: Lstore) -> None:
    script = "read go; i=0; while [ $i -lt 300 ]; do echo line $i; i=$((i+1)); done"
    options = ("--log-opt", "max-size=8k", "--log-opt", "max-file=20")
    lstore.detached("-i", "--name", "long", *options, "busybox", "sh", "-c", script)

    with lstore.under_way("logs", "-f", "long") as follower, lstore.under_way("attach", "long") as client:
        assert follower.stdout is not None
        assert client.stdin is not None
        client.stdin.write(b"\n")
        client.stdin.flush()
        lines = follower.stdout.read().decode().splitlines()

    assert lines == [f"line {number}" for number in range(300)]
    stamped = lstore("logs", "-t", "long").splitlines()
    moment, line = stamped[150].split(" ", 1)
    early = lstore("logs", "--until", moment, "long").splitlines()
    late = lstore("logs", "--since", moment, "long").splitlines()
    assert len([*lstore.home("long").glob("log*")]) > 2
    assert early + late == lines
    assert line in late  # those that came with it have its time, too
    assert lstore("logs", "-n", "250", "long").splitlines() == [f"line {number}" for number in range(50, 300)]
    assert lstore("logs", "-f", "-n", "3", "long").splitlines() == ["line 297", "line 298", "line 299"]


def test_followed_logs_begin_and_end_when_they_are_told(lstore: Lstore) -> None:
    script = "for word in one two three; do echo $word; read line; done"
    lstore.detached("-i", "--name", "slow", "busybox", "sh", "-c", script)
    with lstore.under_way("attach", "slow") as client:
        type_into(client)
        lstore.wait_for_line("slow", "two")
        one, two = (line.split()[0] for line in lstore("logs", "-t", "slow").splitlines())

        assert lstore("logs", "-f", "--until", "0s", "slow") == "one\ntwo"
        assert lstore("logs", "-f", "--since", one, "--until", two, "-t", "slow") == f"{one} one"
        with lstore.under_way("logs", "-f", "--since", two, "slow") as follower:
            assert follower.stdout is not None
            assert follower.stdout.readline() == b"two\n"
            type_into(client)
            assert follower.stdout.readline() == b"three\n"
            type_into(client)
            assert follower.stdout.read() == b""


def type_into(client: "subprocess.Popen[bytes]", text: bytes = b"\n") -> None:
    assert client.stdin is not None
    client.stdin.write(text)
    client.stdin.flush()


def test_the_log_is_bounded(lstore: Lstore) -> None:
    script = "i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done"
    options = ("--log-opt", "max-size=16k", "--log-opt", "max-file=2")
    lstore.call("run", "--name", "bounded", *options, "busybox", "sh", "-c", script)
    home = lstore.home("bounded")

    sizes = [path.stat().st_size for path in home.glob("log*")]

    assert len(sizes) == 2
    assert max(sizes) <= 16 << 10
    assert lstore("logs", "--tail", "1", "bounded") == "line 1999"


def test_lines_are_docker_s_json(lstore: Lstore) -> None:
    lstore.call("run", "--name", "json", "busybox", "printf", "a\\n\\303\\244\\377\\nrest")

    records = [json.loads(line) for line in (lstore.home("json") / "log").read_text().splitlines()]

    assert [record["log"] for record in records] == ["a\n", "ä\ufffd\n", "rest"]
    assert {record["stream"] for record in records} == {"stdout"}
    assert all(record["time"].endswith("Z") and len(record["time"]) == 30 for record in records)


def test_a_line_without_end_takes_no_memory_without_end(tmp_path: Path) -> None:
    log = LogFile(str(tmp_path), max_size=1 << 20, max_files=1)

    for _ in range(5):
        log.write("stdout", b"x" * (MAX_LINE // 2))
    log.write("stdout", b"y\n")
    log.finish()

    texts = [json.loads(line)["log"] for line in (tmp_path / "log").read_text().splitlines()]
    assert "".join(texts) == "x" * (MAX_LINE // 2) * 5 + "y\n"
    assert max(map(len, texts)) <= MAX_LINE


def test_a_log_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    canary.write_text("as it was")
    (tmp_path / "log").symlink_to(canary)

    with pytest.raises(OSError, match="symbolic links"):
        LogFile(str(tmp_path), max_size=1 << 20, max_files=1)

    assert canary.read_text() == "as it was"


def test_megabytes_go_through_a_container_unchanged(lstore: Lstore) -> None:
    data = os.urandom(3 << 20)

    with lstore.under_way("run", "--rm", "-i", "busybox", "cat") as client:
        out, _ = client.communicate(data, timeout=60)

    assert out == data
    assert client.returncode == 0


def test_without_interactive_a_container_reads_nothing(lstore: Lstore) -> None:
    assert lstore("run", "--rm", "busybox", "cat", stdin=b"typed") == ""
    assert lstore("run", "--rm", "-i", "busybox", "cat", stdin=b"typed") == "typed"


def test_several_clients_see_what_comes_and_any_of_them_types(lstore: Lstore) -> None:
    lstore.detached(
        "-i", "--name", "shared", "busybox", "sh", "-c", "while read line; do echo got $line; done"
    )

    with lstore.under_way("attach", "shared") as one, lstore.under_way("attach", "shared") as other:
        for client, word in ((one, b"first"), (other, b"second")):
            assert client.stdin is not None
            assert client.stdout is not None
            client.stdin.write(word + b"\n")
            client.stdin.flush()
            while True:
                line = client.stdout.readline()
                assert line
                if line == b"got " + word + b"\n":
                    break

    assert lstore("logs", "shared").split("\n") == ["got first", "got second"]
    assert lstore.inspect("shared", "{{json .State.Running}}") is True


BOTH = ("busybox", "sh", "-c", "echo out; echo err >&2; exit 4")


@pytest.mark.parametrize(
    ("options", "out", "err"),
    [
        ((), "out\n", "err\n"),
        (("-a", "stdout"), "out\n", ""),
        (("--attach=STDERR",), "", "err\n"),
        (("-a", "Stdout", "-a", "stderr"), "out\n", "err\n"),
    ],
)
def test_run_shows_the_streams_that_it_attaches_to(
    lstore: Lstore, options: tuple[str, ...], out: str, err: str
) -> None:
    done = lstore.call("run", "--name", "both", *options, *BOTH)

    assert (done.returncode, done.stdout, done.stderr) == (4, out, err)
    logged = lstore.call("logs", "both")
    assert (logged.stdout, logged.stderr) == ("out\n", "err\n")


def test_attached_to_its_input_alone_run_gives_the_id_and_ends_with_the_input(lstore: Lstore) -> None:
    script = "cat; echo; until test -e /go; do sleep 0.05; done; exit 4"

    done = lstore.call(
        "run", "-i", "-a", "stdin", "--name", "fed", "busybox", "sh", "-c", script, stdin=b"x" * 100_000
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == lstore.inspect("fed", "{{json .Id}}") + "\n"  # type: ignore[operator]  # it is text
    assert lstore.inspect("fed", "{{json .State.Running}}") is True
    lstore("exec", "fed", "touch", "/go")
    assert lstore("wait", "fed") == "4"
    assert lstore("logs", "fed") == "x" * 100_000


def test_without_interactive_there_is_no_input_to_attach_to(lstore: Lstore) -> None:
    done = lstore.call("run", "-a", "stdin", "-a", "stdout", "--rm", "busybox", "cat", stdin=b"typed")

    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize(
    ("options", "attached"),
    [
        ((), [False, True, True]),
        (("-i",), [True, True, True]),
        (("-i", "-a", "stderr"), [True, False, True]),
        (("-a", "stdin"), [True, False, False]),
    ],
)
def test_create_keeps_what_is_attached_and_start_attaches_to_all(
    lstore: Lstore, options: tuple[str, ...], attached: list[bool]
) -> None:
    lstore("create", "--name", "kept", *options, *BOTH)

    form = "[{{.Config.AttachStdin}}, {{.Config.AttachStdout}}, {{.Config.AttachStderr}}]"
    done = lstore.call("start", "-a", "kept")

    assert lstore.inspect("kept", form) == attached
    assert (done.returncode, done.stdout, done.stderr) == (4, "out\n", "err\n")


def test_what_cannot_be_attached_is_refused(lstore: Lstore) -> None:
    wrong = lstore.call("run", "-a", "stdlog", "busybox", "true")
    both = lstore.call("run", "-d", "-a", "stdout", "busybox", "true")
    piped = lstore.call("run", "-t", "-a", "stdin", "busybox", "true")

    assert [each.returncode for each in (wrong, both, piped)] == [125] * 3
    assert "valid streams are STDIN, STDOUT and STDERR" in wrong.stderr
    assert "conflicting options: -a and -d" in both.stderr
    assert "not a TTY" in piped.stderr


def test_without_a_log_there_is_none_to_read(lstore: Lstore) -> None:
    done = lstore.call("run", "--log-driver", "none", "--name", "mute", *BOTH)
    log_config = "[{{json .HostConfig.LogConfig}}, {{json .LogPath}}]"

    assert (done.returncode, done.stdout, done.stderr) == (4, "out\n", "err\n")
    assert "configured logging driver does not support reading" in lstore.refused("logs", "mute")
    assert "configured logging driver does not support reading" in lstore.refused("logs", "-f", "mute")
    assert list(lstore.home("mute").glob("log*")) == []
    assert lstore.inspect("mute", log_config) == [{"Type": "none", "Config": {}}, ""]


def test_docker_s_log_is_ours_and_others_are_refused(lstore: Lstore) -> None:
    lstore(
        "run",
        "--log-driver",
        "json-file",
        "--log-opt",
        "max-file=2",
        "--name",
        "kept",
        "busybox",
        "echo",
        "x",
    )
    other = lstore.call("run", "--log-driver", "syslog", "busybox", "true")
    options = lstore.call("run", "--log-driver", "none", "--log-opt", "max-file=2", "busybox", "true")

    assert lstore("logs", "kept") == "x"
    assert lstore.inspect("kept", "{{json .HostConfig.LogConfig.Type}}") == "json-file"
    assert (other.returncode, other.stderr.count("\n")) == (125, 1)
    assert "cannot log with 'syslog'" in other.stderr
    assert (options.returncode, "invalid logging opts for driver none" in options.stderr) == (125, True)


def test_start_attached_shows_the_run_and_exits_as_it_does(lstore: Lstore) -> None:
    lstore("create", "-i", "--name", "later", "busybox", "sh", "-c", "cat; exit 6")

    done = lstore.call("start", "-ai", "later", stdin=b"typed")

    assert (done.returncode, done.stdout) == (6, "typed")


@pytest.mark.parametrize(
    ("options", "out"), [(("-a",), "got\n"), (("-i",), "got typed\n"), (("-ai",), "got typed\n")]
)
def test_start_passes_input_on_only_with_interactive(
    lstore: Lstore, options: tuple[str, ...], out: str
) -> None:
    lstore("create", "-i", "--name", "later", "busybox", "sh", "-c", "read -t 1.5 word; echo got $word")

    assert lstore.call("start", *options, "later", stdin=b"typed\n").stdout == out


def test_start_attached_passes_signals_on_unless_told_not_to(lstore: Lstore) -> None:
    script = "trap 'echo term; exit 3' TERM; echo ready; while :; do sleep 0.05; done"
    lstore("create", "--name", "later", "busybox", "sh", "-c", script)

    with lstore.under_way("start", "-a", "--sig-proxy=false", "later") as client:
        assert client.stdout is not None
        assert client.stdout.readline() == b"ready\n"
        client.send_signal(signal.SIGTERM)
        assert client.wait(60) == 143
    lstore("exec", "later", "kill", "-TERM", "1")
    assert lstore("wait", "later") == "3"
    with lstore.under_way("start", "-a", "later") as client:
        assert client.stdout is not None
        assert client.stdout.readline() == b"ready\n"
        client.send_signal(signal.SIGTERM)
        assert client.wait(60) == 3


def test_start_begins_several_in_the_background(lstore: Lstore) -> None:
    for name in ("one", "two"):
        lstore("create", "--name", name, "busybox", "sleep", "1000")

    assert lstore("start", "one", "two") == "one\ntwo"

    assert [lstore("exec", name, "cat", "/proc/1/comm") for name in ("one", "two")] == ["sleep", "sleep"]
    assert "cannot attach to several" in lstore.refused("start", "-a", "one", "two")


def test_a_client_that_is_killed_leaves_the_container_running(lstore: Lstore) -> None:
    with lstore.under_way(
        "run", "--name", "survivor", "busybox", "sh", "-c", "echo up; sleep 1000"
    ) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == b"up\n"
        client.send_signal(signal.SIGKILL)
        client.wait()

    assert lstore.inspect("survivor", "{{json .State.Running}}") is True


def test_attaching_without_sig_proxy_keeps_signals_to_the_client(lstore: Lstore) -> None:
    script = "trap 'echo term' TERM; echo ready; while read line; do echo $line; done; sleep 1000"
    lstore.detached("-i", "--name", "deaf", "busybox", "sh", "-c", script)

    with lstore.under_way("attach", "--no-sig-proxy", "deaf") as client:
        assert client.stdin is not None
        assert client.stdout is not None
        client.stdin.write(b"hello\n")
        client.stdin.flush()
        while client.stdout.readline() != b"hello\n":
            pass
        client.send_signal(signal.SIGTERM)
        assert client.wait(60) == 143

    assert "term" not in lstore("logs", "deaf")


def test_attaching_passes_signals_on_and_without_input_types_nothing(lstore: Lstore) -> None:
    script = "trap 'echo term; exit 5' TERM; while :; do read -t 1 line && echo got $line || echo; done"
    lstore.detached("-i", "--name", "heard", "busybox", "sh", "-c", script)

    with lstore.under_way("attach", "--no-stdin", "heard") as silent:
        type_into(silent, b"unheard\n")
        assert silent.stdout is not None
        assert silent.stdout.readline() == b"\n"  # it is attached
        with lstore.under_way("attach", "heard") as client:
            type_into(client, b"heard\n")
            assert next(line for line in silent.stdout if line != b"\n") == b"got heard\n"
            client.send_signal(signal.SIGTERM)
            assert client.wait(60) == 5
        assert silent.wait(60) == 5


def test_what_does_not_run_cannot_be_attached_to(lstore: Lstore) -> None:
    lstore("create", "--name", "still", "busybox")

    assert "cannot attach to still: it is not running" in lstore.refused("attach", "still")
