"""Processes: children in new namespaces, capabilities, signals by descriptor."""

import os
import signal
from collections.abc import Callable

import pytest

from layerstore import linux


def run_child(flags: int, body: Callable[[], None]) -> int:
    """The wait status of a child that runs `body` in new namespaces; an exception makes it 99."""
    pid, pidfd = linux.clone3(flags)
    if pid == 0:
        status = 99
        try:
            body()
            status = 0
        finally:
            os._exit(status)
    os.close(pidfd)
    return os.waitpid(pid, 0)[1]


def test_clone3_without_flags_is_a_fork() -> None:
    status = run_child(0, lambda: os.kill(os.getpid(), signal.SIGTERM))

    assert os.waitstatus_to_exitcode(status) == -signal.SIGTERM


@pytest.mark.root
def test_clone3_gives_namespaces_of_its_own() -> None:
    before = os.readlink("/proc/self/ns/uts")

    def body() -> None:
        linux.sethostname("elsewhere")
        assert os.uname().nodename == "elsewhere"
        assert os.getpid() == 1
        assert os.readlink("/proc/self/ns/uts") != before

    status = run_child(linux.CLONE_NEWUTS | linux.CLONE_NEWPID, body)

    assert status == 0
    assert os.uname().nodename != "elsewhere"


def test_a_failed_clone3_leaves_the_interpreter_usable() -> None:
    with pytest.raises(OSError, match="clone3: Invalid argument"):
        linux.clone3(linux.CLONE_NEWNS | linux.CLONE_FS)

    assert run_child(0, lambda: None) == 0


def test_a_signal_by_descriptor_reaches_the_child_and_no_later_process() -> None:
    pid, pidfd = linux.clone3(0)
    if pid == 0:
        signal.pause()
        os._exit(0)

    linux.pidfd_send_signal(pidfd, signal.SIGKILL)

    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    with pytest.raises(ProcessLookupError):
        linux.pidfd_send_signal(pidfd, signal.SIGKILL)
    os.close(pidfd)


@pytest.mark.root
def test_capabilities_given_up_are_gone() -> None:
    def body() -> None:
        linux.capset(1 << 40 | 1, 1 << 40 | 1, 0)
        assert linux.capget() == (1 << 40 | 1, 1 << 40 | 1, 0)

    assert run_child(0, body) == 0


@pytest.mark.root
def test_loopback_comes_up_in_a_new_network_namespace() -> None:
    def body() -> None:
        fd = linux.socket(linux.AF_INET, linux.SOCK_DGRAM)
        before = linux.siocgifflags(fd, "lo")
        linux.siocsifflags(fd, "lo", before | linux.IFF_UP)
        assert not before & linux.IFF_UP
        assert linux.siocgifflags(fd, "lo") & linux.IFF_UP

    assert run_child(linux.CLONE_NEWNET, body) == 0


def test_a_seccomp_filter_answers_for_the_kernel() -> None:
    def body() -> None:
        linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
        # ret SECCOMP_RET_ALLOW
        linux.seccomp_set_mode_filter(bytes.fromhex("060000000000ff7f"))
        with open("/proc/self/status") as status:
            assert "Seccomp:\t2\n" in status

    assert run_child(0, body) == 0
