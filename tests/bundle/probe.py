"""What a process sees of its container, one fact a line: run inside it by the host's own Python, without our code.

``python3 probe.py SKIPPED NAMESPACE…``: the numbers of system calls to leave alone, with commas, and the links of the
host's /proc/self/ns to tell from the container's own.
"""

import ctypes
import errno
import os
import signal
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

SYSTEM_CALLS = 451  # those that libseccomp 2.5 knows
PROCESSES = 100
OF_THE_C_LIBRARY = (
    3 << 31
)  # signals 32 and 33, which whoever started the tests by posix_spawn(3) left ignored
CLONE_NEWUSER, AF_VSOCK, ADDR_NO_RANDOMIZE = 0x10000000, 40, 0x0040000
# Numbers of x86-64 and of arm64.
CLONE, SOCKET, PERSONALITY = (56, 41, 135) if os.uname().machine == "x86_64" else (220, 198, 92)
IN_STATUS = (
    "Cap",
    "Seccomp:",
    "NoNewPrivs:",
    "SigBlk",
    "SigCgt",
    "Uid",
    "Gid",
    "Groups",
    "Cpus_allowed_list",
)
SETTINGS = ("kernel/hostname", "kernel/domainname", "kernel/shmmax", "net/ipv4/ip_forward", "kernel/msgmax")
LOOKED_AT = ("kcore", "timer_list", "sched_debug", "interrupts", "latency_stats")
WRITTEN = (
    "/proc/sys/kernel/hostname", "/proc/sysrq-trigger", "/proc/irq/default_smp_affinity", "/sys/probe", "/probe",
    "/etc/hostname", "/etc/hosts", "/scratch/probe", "/dev/shm/probe", "/dev/probe", "/rw/probe", "/ro/probe",
)  # fmt: skip
GROUPS = "/sys/fs/cgroup"


def status() -> Iterator[str]:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("SigIgn"):  # another runtime passes on what it was started with
            yield f"status SigIgn:\t{int(line.split()[1], 16) & ~OF_THE_C_LIBRARY:016x}"
        elif line.startswith(IN_STATUS):
            yield f"status {line}"


def facts(skipped: set[int], outside: set[str]) -> Iterator[str]:
    yield f"open {sorted(os.listdir('/proc/self/fd'))}"
    for name, value in sorted(os.environ.items()):
        yield f"env {name}={value}"
    yield f"args {sys.argv[0]} cwd {os.getcwd()} pid {os.getpid() == 1} session {os.getsid(0) == os.getpid()}"
    yield f"umask {os.umask(0o22):o}"
    yield from status()
    for line in Path("/proc/self/limits").read_text().splitlines():
        yield f"limit {line}"
    yield f"oom {Path('/proc/self/oom_score_adj').read_text().strip()}"
    for name in sorted(os.listdir("/proc/self/ns")):
        yield f"namespace {name} {'host' if os.readlink(f'/proc/self/ns/{name}') in outside else 'own'}"
    for name in SETTINGS:
        yield f"setting {name} {read(f'/proc/sys/{name}')}"
    for name in sorted(os.listdir("/sys/class/net")):
        yield f"link {name} {read(f'/sys/class/net/{name}/flags')}"
    for name in ("hosts", "hostname", "resolv.conf"):
        yield f"etc {name} {read(f'/etc/{name}')!r}"
    yield from mounts()
    yield from devices()
    for name in LOOKED_AT:
        text = read(f"/proc/{name}", 10)
        yield f"masked {name} {text if text in errno.errorcode.values() else bool(text)}"
    for path in WRITTEN:
        yield f"write {path} {outcome(path)}"
    yield from limits()
    if "Seccomp:\t2" in Path("/proc/self/status").read_text():
        yield from system_calls(skipped)


def read(path: str, most: int = 1 << 16) -> str:
    try:
        with open(path, errors="replace") as stream:
            return stream.read(most).strip()
    except OSError as error:
        return errno.errorcode[error.errno or 0]


def outcome(path: str) -> str:
    """Of opening it to write, making it where it is missing; all stays as it was, it may be the host's."""
    is_new = not os.path.lexists(path)
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
        if is_new:
            os.unlink(path)
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return "opened"


def mounts() -> Iterator[str]:
    """Point, type, options, whether mounts come in or go out, and of a tmpfs what bounds it."""
    for line in sorted(
        Path("/proc/self/mountinfo").read_text().splitlines(), key=lambda line: line.split()[4]
    ):
        left, _, right = line.partition(" - ")
        point, options, *further = left.split()[4:]
        kind, _, data = right.split(" ", 2)
        bounds = [
            each for each in data.split(",") if each.startswith(("size=", "mode=", "gid=", "ptmxmode="))
        ]
        yield f"mount {point} {kind} {options} {[each.split(':')[0] for each in further]} {bounds}"


def devices() -> Iterator[str]:
    for name in sorted(os.listdir("/dev")):
        status = os.lstat(f"/dev/{name}")
        target = os.readlink(f"/dev/{name}") if stat.S_ISLNK(status.st_mode) else f"{status.st_rdev:x}"
        opened = []
        for mode in (os.O_RDONLY, os.O_WRONLY) if stat.S_ISCHR(status.st_mode) else ():
            try:
                os.close(os.open(f"/dev/{name}", mode | os.O_NONBLOCK | os.O_NOCTTY))
                opened.append("ok")
            except OSError as error:
                opened.append(errno.errorcode[error.errno or 0])
        yield f"dev {name} {status.st_mode:o} {status.st_uid}:{status.st_gid} {target} {opened}"


def limits() -> Iterator[str]:
    """What the control groups do, whichever of them has the limit."""
    for line in read(f"{GROUPS}/memory/memory.stat").splitlines():
        if line.startswith("hierarchical_"):
            yield f"group {line}"
    children = []
    while len(children) < PROCESSES:
        try:
            pid = os.fork()
        except OSError as error:
            yield f"forks {len(children)} {errno.errorcode[error.errno or 0]}"
            break
        if pid == 0:
            signal.pause()
        children.append(pid)
    for pid in children:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def system_calls(skipped: set[int]) -> Iterator[str]:
    """What becomes of each, called with arguments that none takes; and of those whose arguments are looked at."""
    senseless = {number: (-1,) * 6 for number in range(SYSTEM_CALLS) if number not in skipped}
    yield from called(senseless)
    yield from called({CLONE: (CLONE_NEWUSER | signal.SIGCHLD, 0, 0, 0, 0)})
    yield from called({SOCKET: (AF_VSOCK, 1, 0)})
    yield from called({PERSONALITY: (ADDR_NO_RANDOMIZE,)})


def called(calls: dict[int, tuple[int, ...]]) -> Iterator[str]:
    """In a child, and in another one after each call that ends it or does not come back."""
    left = dict(calls)
    while left:
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            call_all(left, writer)
        os.close(writer)
        with open(reader) as stream:
            lines = stream.read().splitlines()
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        for number, line in zip(list(left), lines, strict=False):
            yield f"call {number} {left.pop(number)} {line}"
        if status < 0:
            number = next(iter(left))
            yield f"call {number} {left.pop(number)} {signal.Signals(-status).name}"


def call_all(calls: dict[int, tuple[int, ...]], writer: int) -> NoReturn:
    libc = ctypes.CDLL(None, use_errno=True)
    own = os.getpid()
    for number, arguments in calls.items():
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        result = libc.syscall(*map(ctypes.c_long, (number, *arguments)))
        if os.getpid() != own:
            os._exit(0)  # it made a process
        name = errno.errorcode.get(ctypes.get_errno(), "?") if result == -1 else "ok"
        os.write(writer, f"{name}\n".encode())
    os._exit(0)


if __name__ == "__main__":
    for fact in facts({int(number) for number in sys.argv[1].split(",")}, set(sys.argv[2:])):
        print(fact)
