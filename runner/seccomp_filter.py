"""The default system call filter, with docker's meaning: most calls allowed, those that reach past a container not.

seccomp(2). What belongs to a capability is allowed to containers that have it; otherwise a denied call fails
with EPERM. A call that this table does not know fails with ENOSYS, as on an older kernel, so that C libraries
fall back. Calls of another architecture, 32-bit ones too, end the process: their numbers mean other calls.

The program is a binary search over ranges of numbers, so that a call costs about seven comparisons.
"""

from __future__ import annotations

import errno
import struct

from layerstore import linux
from runner.syscalls import SYSCALLS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

# Keys of the kernel that no namespace confines, other kernels, whole memory, and what is obsolete: for nobody.
NEVER = (
    "_sysctl add_key afs_syscall create_module get_kernel_syms getpmsg io_uring_enter io_uring_register"
    " io_uring_setup kexec_file_load kexec_load keyctl migrate_pages move_pages nfsservctl pivot_root putpmsg"
    " query_module request_key security swapoff swapon sysfs tuxcall uselib userfaultfd ustat vserver"
    " lsm_get_self_attr lsm_list_modules lsm_set_self_attr"
)
WITH_CAPABILITY = {
    "CAP_DAC_READ_SEARCH": "open_by_handle_at",
    "CAP_SYS_ADMIN": (
        "bpf fanotify_init fsconfig fsmount fsopen fspick listmount lookup_dcookie mount mount_setattr move_mount"
        " open_tree open_tree_attr perf_event_open quotactl quotactl_fd setdomainname sethostname setns statmount"
        " umount2 unshare"
    ),
    "CAP_SYS_BOOT": "reboot",
    "CAP_SYS_CHROOT": "chroot",
    "CAP_SYS_MODULE": "delete_module finit_module init_module",
    "CAP_SYS_NICE": "get_mempolicy mbind set_mempolicy set_mempolicy_home_node",
    "CAP_SYS_PACCT": "acct",
    "CAP_SYS_PTRACE": "kcmp pidfd_getfd process_madvise",
    "CAP_SYS_RAWIO": "ioperm iopl",
    "CAP_SYS_TIME": "clock_settime settimeofday",
    "CAP_SYS_TTY_CONFIG": "vhangup",
    "CAP_SYSLOG": "syslog",
}
NEW_NAMESPACES = (
    linux.CLONE_NEWNS
    | linux.CLONE_NEWCGROUP
    | linux.CLONE_NEWUTS
    | linux.CLONE_NEWIPC
    | linux.CLONE_NEWUSER
    | linux.CLONE_NEWPID
    | linux.CLONE_NEWNET
)
# personality(2): PER_LINUX, PER_LINUX32, both with UNAME26, and the question for the present one.
PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)
AF_VSOCK = 40  # vsock(7): a way to the hypervisor that no network namespace closes

# linux/bpf_common.h, linux/seccomp.h
_LOAD = 0x20
_IF_EQUAL = 0x15
_IF_GREATER_EQUAL = 0x35
_IF_ANY_BIT = 0x45
_JUMP = 0x05
_RETURN = 0x06
_RET_KILL_PROCESS = 0x80000000
_RET_ERRNO = 0x00050000
_RET_ALLOW = 0x7FFF0000
_DATA_NUMBER, _DATA_ARCH, _DATA_FIRST_ARGUMENT = 0, 4, 16

# linux/audit.h, by uname(2) machine; with it the column of `SYSCALLS`.
ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
_FARTHEST = 255  # what a conditional jump can pass

Program = tuple[bytes, ...]


def assemble(machine: str, kept: frozenset[str]) -> Program:
    """The filter's instructions, ``struct sock_filter`` each, for uname(2)'s `machine`. Raises ``KeyError``."""
    audit_arch, column = ARCHITECTURES[machine]
    by_number = {
        number: action
        for name, action in _actions(kept).items()
        if (number := SYSCALLS[name][column]) is not None
    }
    return (
        _instruction(_LOAD, _DATA_ARCH),
        _instruction(_IF_EQUAL, audit_arch, 1, 0),
        _return(_RET_KILL_PROCESS),
        _instruction(_LOAD, _DATA_NUMBER),
        *_search(_ranges(by_number)),
    )


def _actions(kept: frozenset[str]) -> dict[str, Program]:
    """What is done about each known call; those that need a look at their arguments have several instructions."""
    allow: Program = (_return(_RET_ALLOW),)
    deny: Program = (_fail(errno.EPERM),)
    actions = dict.fromkeys(SYSCALLS, allow)
    actions.update(dict.fromkeys(NEVER.split(), deny))
    for capability, names in WITH_CAPABILITY.items():
        if capability not in kept:
            actions.update(dict.fromkeys(names.split(), deny))
    actions["personality"] = _if_first_argument(_IF_EQUAL, PERSONALITIES, allow, deny)
    actions["socket"] = _if_first_argument(_IF_EQUAL, (AF_VSOCK,), deny, allow)
    if "CAP_SYS_ADMIN" not in kept:
        actions["clone"] = _if_first_argument(_IF_ANY_BIT, (NEW_NAMESPACES,), deny, allow)
        # Its flags are in memory, where a filter cannot look; C libraries fall back to clone(2).
        actions["clone3"] = (_fail(errno.ENOSYS),)
    return actions


def _if_first_argument(test: int, values: tuple[int, ...], then: Program, otherwise: Program) -> Program:
    """`then` if `test` holds of the first argument's low half and one of `values`, else `otherwise`."""
    count = len(values)
    tests = [
        _instruction(test, value, count - 1 - position + len(otherwise), 0)
        for position, value in enumerate(values)
    ]
    return (_instruction(_LOAD, _DATA_FIRST_ARGUMENT), *tests, *otherwise, *then)


def _ranges(by_number: Mapping[int, Program]) -> list[tuple[int, Program]]:
    """(first number, action) of each run of numbers with one action, from 0 up without a gap."""
    unknown = (_fail(errno.ENOSYS),)
    ranges: list[tuple[int, Program]] = []
    for number in range(max(by_number) + 2):
        action = by_number.get(number, unknown)
        if not ranges or ranges[-1][1] != action:
            ranges.append((number, action))
    return ranges


def _search(ranges: list[tuple[int, Program]]) -> Program:
    """A decision tree over `ranges` with the call's number in the accumulator."""
    if len(ranges) == 1:
        return ranges[0][1]
    middle = len(ranges) // 2
    below, above = _search(ranges[:middle]), _search(ranges[middle:])
    first = ranges[middle][0]
    if len(below) <= _FARTHEST:
        return (_instruction(_IF_GREATER_EQUAL, first, len(below), 0), *below, *above)
    jump = _instruction(_JUMP, len(below))
    return (_instruction(_IF_GREATER_EQUAL, first, 0, 1), jump, *below, *above)


def _fail(number: int) -> bytes:
    return _return(_RET_ERRNO | number)


def _return(value: int) -> bytes:
    return _instruction(_RETURN, value)


def _instruction(code: int, operand: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, operand)
