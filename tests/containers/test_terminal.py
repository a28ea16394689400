"""Terminals, driven through a pseudo-terminal as a user would: typing, resizing, detaching and coming back."""

from collections.abc import Iterator

import pexpect
import pytest

from tests.containers.conftest import Lstore

pytestmark = pytest.mark.root

PATIENCE = 30
PROMPT = "/ # "


class Terminals:
    """Clients at terminals of their own."""

    def __init__(self, lstore: Lstore) -> None:
        self._lstore = lstore
        self._opened: list[pexpect.spawn] = []

    def __call__(self, *arguments: str) -> pexpect.spawn:
        command, *rest = self._lstore.command(*arguments)
        client = pexpect.spawn(
            command,
            rest,
            timeout=PATIENCE,
            dimensions=(33, 77),
            encoding="utf-8",
            env=self._lstore.environment,
        )
        self._opened.append(client)
        return client

    def close(self) -> None:
        for client in self._opened:
            client.close(force=True)


@pytest.fixture
def terminal(lstore: Lstore) -> Iterator[Terminals]:
    terminals = Terminals(lstore)
    yield terminals
    terminals.close()


def end(client: pexpect.spawn) -> int | None:
    client.expect(pexpect.EOF)
    client.wait()
    return client.exitstatus


def test_a_shell_has_a_terminal_of_the_container_s_own(terminal: Terminals) -> None:
    client = terminal("run", "--rm", "-it", "busybox", "sh")

    client.expect_exact(PROMPT)
    client.sendline("tty; stty size; test -c /dev/console && echo console; ps -o pid,tty,comm | grep sh")
    client.expect("/dev/pts/0")
    client.expect("33 77")
    client.expect("console")
    client.expect(r"1\s+136,0\s+sh")
    client.sendline("exit 7")

    assert end(client) == 7


def test_the_size_follows_our_own(terminal: Terminals) -> None:
    client = terminal(
        "run",
        "--rm",
        "-it",
        "busybox",
        "sh",
        "-c",
        "trap 'stty size' WINCH; echo up; while :; do sleep 0.05; done",
    )
    client.expect("up")

    client.setwinsize(44, 99)

    client.expect("44 99")
    client.sendcontrol("c")
    assert end(client) == 130


def test_the_detach_keys_leave_the_container_running_for_the_next_to_attach(
    terminal: Terminals, lstore: Lstore
) -> None:
    client = terminal("run", "-it", "--name", "kept", "busybox", "sh")
    client.expect_exact(PROMPT)
    client.sendline("word=remembered")
    client.expect_exact(PROMPT)

    client.send("\x10\x11")
    assert end(client) == 0
    assert lstore.inspect("kept", "{{json .State.Running}}") is True

    again = terminal("attach", "kept")
    again.sendline("echo $word")
    again.expect("\nremembered")
    again.sendline("exit 3")
    assert end(again) == 3


def test_other_detach_keys_can_be_chosen_and_half_of_them_is_typed_through(terminal: Terminals) -> None:
    client = terminal("run", "-it", "--name", "keys", "--detach-keys", "x,ctrl-y", "busybox", "sh")
    client.expect_exact(PROMPT)

    client.sendline("echo mi'x'ed")
    client.expect("\nmixed")
    client.send("x\x19")

    assert end(client) == 0


@pytest.mark.parametrize("verb", ["attach", "start", "exec"])
def test_each_command_with_a_terminal_takes_keys_of_its_own(
    terminal: Terminals, lstore: Lstore, verb: str
) -> None:
    """Docker's, too: they win over what run was told."""
    keys = ("--detach-keys", "ctrl-y")
    words = {"attach": ("kept",), "start": ("-ai", "kept"), "exec": ("-it", "kept", "sh")}[verb]
    lstore("create", "-it", "--name", "kept", "busybox", "sh")
    if verb != "start":
        lstore("start", "kept")

    client = terminal(verb, *keys, *words)
    client.sendline("exec sh -c \"echo he''re; sleep 1000; true\"")
    client.expect("\nhere")
    client.send("\x19")

    assert end(client) == 0
    assert "sleep 1000" in lstore("exec", "kept", "ps", "-o", "args")


def test_our_terminal_is_as_it_was_afterwards(terminal: Terminals) -> None:
    import termios

    client = terminal("run", "--rm", "-it", "busybox", "sh", "-c", "echo in; read line")
    before = termios.tcgetattr(client.child_fd)
    client.expect("in")
    assert termios.tcgetattr(client.child_fd) != before

    client.sendline("")
    client.expect(pexpect.EOF)

    assert client.wait() == 0


def test_exec_gives_a_terminal_too(terminal: Terminals, lstore: Lstore) -> None:
    lstore.detached("--name", "host", "busybox", "sleep", "1000")
    client = terminal("exec", "-it", "host", "sh")

    client.expect_exact(PROMPT)
    client.sendline("tty; stty size")
    client.expect("/dev/pts/0")
    client.expect("33 77")
    client.setwinsize(50, 120)
    client.sendline("stty size")
    client.expect("50 120")
    client.sendline("exit 4")

    assert end(client) == 4


def test_a_terminal_needs_no_input(lstore: Lstore) -> None:
    """As for `docker run -t … | less -R`: whoever writes sees a terminal, whoever reads nothing of it."""
    lstore.detached("-t", "--name", "host", "busybox", "sleep", "1000")

    assert lstore("run", "--rm", "-t", "busybox", "tty") == "/dev/pts/0\r"
    assert lstore("exec", "-t", "host", "tty") == "/dev/pts/1\r"
    assert lstore("exec", "host", "readlink", "/proc/1/fd/0") == "/dev/pts/0"
    assert lstore.call("exec", "host", "tty").stdout == "not a tty\n"


def test_what_a_terminal_shows_is_logged(terminal: Terminals, lstore: Lstore) -> None:
    client = terminal("run", "-it", "--name", "logged", "busybox", "echo", "shown")
    assert end(client) == 0

    assert lstore("logs", "logged") == "shown\r"


def test_a_container_that_closes_its_terminal_costs_nothing_and_can_open_it_again(
    terminal: Terminals, lstore: Lstore
) -> None:
    script = "exec <&- >&- 2>&-; sleep 0.3; exec > /dev/console; echo back; sleep 1000"
    client = terminal("run", "-it", "--name", "closed", "busybox", "sh", "-c", script)

    client.expect("back")

    client.send("\x10\x11")
    assert end(client) == 0


def test_a_terminal_for_input_that_is_none_is_refused(lstore: Lstore) -> None:
    lstore.detached("--name", "host", "busybox", "sleep", "1000")

    assert "not a TTY" in lstore.refused("run", "--rm", "-it", "busybox")
    assert "not a TTY" in lstore.refused("exec", "-it", "host", "sh")
