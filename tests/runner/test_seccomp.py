"""The system call filter: its program is run by an interpreter of BPF here, and by the kernel."""

import ctypes
import errno
import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.containers import Containers
from layerstore import linux
from layerstore.errors import MissingFeature
from runner import seccomp, seccomp_default, seccomp_filter
from runner.capabilities import DEFAULT
from runner.syscalls import SYSCALLS
from tests.runner.seccomp_default import page

ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
ALLOW, KILL = 0x7FFF0000, 0x80000000
EPERM, ENOSYS = 0x50000 | errno.EPERM, 0x50000 | errno.ENOSYS


def decide(program: tuple[bytes, ...], arch: int, number: int, argument: int = 0) -> int:
    """What classic BPF (Linux ``Documentation/networking/filter.rst``) makes of one call."""
    data = struct.pack("=IIQQ", number, arch, 0, argument)
    accumulator, position = 0, 0
    while True:
        code, if_true, if_false, operand = struct.unpack("=HBBI", program[position])
        position += 1
        if code == 0x06:
            return int(operand)
        if code == 0x20:
            accumulator = struct.unpack_from("=I", data, operand)[0]
        elif code == 0x05:
            position += operand
        else:
            tests = {0x15: accumulator == operand, 0x35: accumulator >= operand, 0x45: accumulator & operand}
            position += if_true if tests[code] else if_false


def verdict(machine: str, name: str, argument: int = 0, kept: frozenset[str] = DEFAULT) -> int:
    arch, column = ARCHITECTURES[machine]
    number = SYSCALLS[name][column]
    assert number is not None
    return decide(seccomp_filter.assemble(machine, kept), arch, number, argument)


@pytest.mark.parametrize("machine", ARCHITECTURES)
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *(
            (name, ALLOW)
            for name in ("read", "execve", "openat", "futex", "ptrace", "chroot", "mknodat", "seccomp")
        ),
        *(
            (name, EPERM)
            for name in ("keyctl", "kexec_load", "io_uring_setup", "mount", "setns", "unshare", "bpf")
        ),
        *((name, EPERM) for name in ("init_module", "open_by_handle_at", "reboot", "swapon", "userfaultfd")),
        ("clone3", ENOSYS),
    ],
)
def test_each_call_is_judged_as_docker_does(machine: str, name: str, expected: int) -> None:
    assert verdict(machine, name) == expected


@pytest.mark.parametrize("machine", ARCHITECTURES)
@pytest.mark.parametrize(
    ("name", "argument", "expected"),
    [
        ("clone", 0x11, ALLOW),
        ("clone", linux.CLONE_NEWUSER | 0x11, EPERM),
        ("clone", linux.CLONE_NEWNS, EPERM),
        ("clone", linux.CLONE_NEWCGROUP, EPERM),
        ("clone", linux.CLONE_NEWNET | 1 << 40, EPERM),
        ("personality", 0, ALLOW),
        ("personality", 0xFFFFFFFF, ALLOW),
        ("personality", 0x0040000, EPERM),  # ADDR_NO_RANDOMIZE
        ("socket", socket.AF_INET, ALLOW),
        ("socket", socket.AF_VSOCK, EPERM),
        ("socket", socket.AF_VSOCK | 1 << 32, EPERM),
    ],
)
def test_arguments_decide_where_they_matter(machine: str, name: str, argument: int, expected: int) -> None:
    assert verdict(machine, name, argument) == expected


@pytest.mark.parametrize(
    ("capability", "name"),
    [
        ("CAP_SYS_ADMIN", "mount"),
        ("CAP_SYS_ADMIN", "clone3"),
        ("CAP_SYS_TIME", "clock_settime"),
        ("CAP_SYSLOG", "syslog"),
    ],
)
def test_a_capability_brings_its_calls(capability: str, name: str) -> None:
    assert verdict("x86_64", name) != ALLOW
    assert verdict("x86_64", name, kept=DEFAULT | {capability}) == ALLOW


@given(
    machine=st.sampled_from(sorted(ARCHITECTURES)),
    number=st.one_of(st.integers(0, 600), st.integers(0, 2**32 - 1)),
    argument=st.integers(0, 2**64 - 1),
)
def test_no_call_is_allowed_that_is_not_in_the_table(machine: str, number: int, argument: int) -> None:
    arch, column = ARCHITECTURES[machine]
    known = {numbers[column] for numbers in SYSCALLS.values()}

    answer = decide(PROGRAMS[machine], arch, number, argument)

    assert answer in (ALLOW, EPERM, ENOSYS)
    assert number in known or answer == ENOSYS


PROGRAMS = {machine: seccomp_filter.assemble(machine, DEFAULT) for machine in ARCHITECTURES}


@given(arch=st.integers(0, 2**32 - 1).filter(lambda arch: arch != ARCHITECTURES["x86_64"][0]))
def test_calls_of_another_architecture_end_the_process(arch: int) -> None:
    assert decide(PROGRAMS["x86_64"], arch, 0) == KILL


def test_a_machine_without_a_table_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = os.uname_result(("Linux", "host", "6.1", "#1", "vax"))
    monkeypatch.setattr(os, "uname", lambda: machine)

    with pytest.raises(MissingFeature, match="on vax"):
        seccomp.program(DEFAULT)


def answers_under_filter(body: Callable[[], list[int]]) -> list[int]:
    """What `body` returns in a child under the filter."""
    reader, writer = os.pipe()
    pid, pidfd = linux.clone3(0)
    if pid == 0:
        try:
            linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
            seccomp.confine(seccomp.program(DEFAULT))
            os.write(writer, repr(body()).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader) as answers:
        text = answers.read()
    os.waitpid(pid, 0)
    os.close(pidfd)
    return [int(number) for number in text.strip("[]").split(",")]


@pytest.mark.skipif(os.uname().machine not in ARCHITECTURES, reason="no table of system calls")
def test_the_kernel_answers_as_the_filter_says() -> None:
    column = ARCHITECTURES[os.uname().machine][1]
    call = ctypes.CDLL(None, use_errno=True).syscall

    def errors() -> list[int]:
        found = []
        for number, argument in (
            (SYSCALLS["keyctl"][column], 0),
            (SYSCALLS["socket"][column], 40),
            (4000, 0),
        ):
            found.append(ctypes.get_errno() if call(ctypes.c_long(number or 0), argument, 0, 0) < 0 else 0)
        return found

    assert answers_under_filter(errors) == [errno.EPERM, errno.EPERM, errno.ENOSYS]


@pytest.mark.root
def test_containers_are_under_the_filter(containers: Containers) -> None:
    assert containers.sh("grep ^Seccomp: /proc/self/status") == "Seccomp:\t2\n"
    assert "Operation not permitted" in containers.run("unshare", "-U", "true").errors


def test_the_table_agrees_with_this_machine_s_headers() -> None:
    header = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
    if not header.exists():
        pytest.skip("linux-libc-dev is not installed")
    words = [line.split() for line in header.read_text().splitlines() if line.startswith("#define __NR_")]

    told = {name.removeprefix("__NR_"): int(number) for _, name, number in words}

    assert {name: SYSCALLS[name][0] for name in told if name in SYSCALLS} == {
        name: number for name, number in told.items() if name in SYSCALLS
    }


def test_the_assembled_default_filter_is_what_the_table_says() -> None:
    assert Path(seccomp_default.__file__).read_text() == page()
