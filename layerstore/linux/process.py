"""Processes: namespaces, clone, credentials, what a process may do, and how signals reach it."""

from __future__ import annotations

import struct

from layerstore import linux
from layerstore.linux.call import by_machine, encoded, interpreter, libc, numbered
from layerstore.linux.foreign import (
    addressof,
    c_char_p,
    c_int,
    c_size_t,
    c_uint,
    c_ulong,
    c_void_p,
    create_string_buffer,
)

CLONE_PIDFD = 0x1000
CLONE_FS = 0x200
CLONE_PARENT = 0x8000
CLONE_NEWNS = 0x20000
CLONE_NEWCGROUP = 0x2000000
CLONE_NEWUTS = 0x4000000
CLONE_NEWIPC = 0x8000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
CLONE_INTO_CGROUP = 0x200000000

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_CLEAR_ALL = 4

SECCOMP_SET_MODE_FILTER = 1

_CAPABILITY_VERSION_3 = 0x20080522
_SIGCHLD = 17
_SIGACTION_SIZE = 32
_SIGSET_SIZE = 8

_unshare = libc("unshare", c_int)
_setns = libc("setns", c_int, c_int)
_prctl = libc("prctl", c_int, c_ulong, c_ulong, c_ulong, c_ulong)
_capget = numbered("capget", by_machine(x86_64=125, arm64=90), c_char_p, c_char_p)
_capset = numbered("capset", by_machine(x86_64=126, arm64=91), c_char_p, c_char_p)
_sethostname = libc("sethostname", c_char_p, c_size_t)
_seccomp = numbered("seccomp", by_machine(x86_64=317, arm64=277), c_uint, c_uint, c_char_p)
_clone3 = numbered("clone3", 435, c_void_p, c_size_t, keeps_lock=True)
_pidfd_send_signal = numbered("pidfd_send_signal", 424, c_int, c_int, c_void_p, c_uint)

_rt_sigaction = numbered(
    "rt_sigaction", by_machine(x86_64=13, arm64=134), c_int, c_char_p, c_void_p, c_size_t
)

_before_fork = interpreter("PyOS_BeforeFork")
_after_fork_child = interpreter("PyOS_AfterFork_Child")
_after_fork_parent = interpreter("PyOS_AfterFork_Parent")


def unshare(flags: int) -> None:
    """unshare(2): the calling thread leaves the namespaces named by CLONE_* `flags` for new ones."""
    _unshare(flags)


def setns(fd: int, nstype: int) -> None:
    """setns(2). All of this package is loaded first: what is imported after it may be another's code."""
    linux.load_all()
    _setns(fd, nstype)


def clone3(flags: int, *, cgroup: int | None = None) -> tuple[int, int]:
    """clone3(2) as a fork into new namespaces: (process id, its pidfd), in the child (0, -1).

    `cgroup` is a descriptor of the cgroup v2 directory that the child starts in. The interpreter's own state
    is looked after as ``os.fork`` does it; as with that, only a process with one thread should call. With
    CLONE_PARENT in `flags` the child is one of the caller's parent.
    """
    pidfd = c_int(-1)
    exit_signal = 0 if flags & CLONE_PARENT else _SIGCHLD  # else the kernel takes the caller's own
    if cgroup is not None:
        flags |= CLONE_INTO_CGROUP
    arguments = struct.pack(
        "11Q", flags | CLONE_PIDFD, addressof(pidfd), 0, 0, exit_signal, 0, 0, 0, 0, 0, cgroup or 0
    )
    _before_fork()
    try:
        pid = _clone3(arguments, len(arguments))
    except OSError:
        _after_fork_parent()
        raise
    if pid == 0:
        _after_fork_child()
        return 0, -1
    _after_fork_parent()
    return pid, pidfd.value


def pidfd_send_signal(pidfd: int, sig: int) -> None:
    """pidfd_send_signal(2). Raises ``ProcessLookupError`` once the process has ended."""
    _pidfd_send_signal(pidfd, sig, None, 0)


def prctl(option: int, arg2: int = 0, arg3: int = 0) -> int:
    """prctl(2)."""
    return _prctl(option, arg2, arg3, 0, 0)


def capget() -> tuple[int, int, int]:
    """capget(2) of the calling thread: effective, permitted and inheritable as bit masks."""
    header = struct.pack("Ii", _CAPABILITY_VERSION_3, 0)
    data = create_string_buffer(24)
    _capget(header, data)
    low_e, low_p, low_i, high_e, high_p, high_i = struct.unpack("6I", data.raw)
    return low_e | high_e << 32, low_p | high_p << 32, low_i | high_i << 32


def capset(effective: int, permitted: int, inheritable: int) -> None:
    """capset(2) of the calling thread, by bit masks."""
    header = struct.pack("Ii", _CAPABILITY_VERSION_3, 0)
    masks = (effective, permitted, inheritable)
    low, high = ([mask >> shift & 0xFFFFFFFF for mask in masks] for shift in (0, 32))
    _capset(header, struct.pack("6I", *low, *high))


def sethostname(name: str) -> None:
    """sethostname(2)."""
    raw = encoded(name) or b""
    _sethostname(raw, len(raw), path=name)


def seccomp_set_mode_filter(program: bytes, flags: int = 0) -> None:
    """seccomp(2) SECCOMP_SET_MODE_FILTER; `program` is an array of ``struct sock_filter``, 8 bytes each."""
    instructions = create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxQ", len(program) // 8, addressof(instructions))
    _seccomp(SECCOMP_SET_MODE_FILTER, flags, header)


def set_default_action(signum: int) -> None:
    """rt_sigaction(2) with SIG_DFL, also for the signals that the C library keeps to itself (32 and 33)."""
    _rt_sigaction(signum, bytes(_SIGACTION_SIZE), None, _SIGSET_SIZE)
