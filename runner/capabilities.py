"""What uid 0 may do inside: docker's default set, as bounding, permitted and effective; nothing inheritable.

capabilities(7). An inheritable set that is not empty would hand capabilities to binaries with inheritable
file capabilities, whoever runs them (CVE-2022-24769).
"""

from __future__ import annotations

import errno

from layerstore import linux

# In the order of their numbers: linux/capability.h.
NAMES = (
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL",
    "CAP_SETGID", "CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST", "CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE", "CAP_SYS_PACCT", "CAP_SYS_ADMIN", "CAP_SYS_BOOT",
    "CAP_SYS_NICE", "CAP_SYS_RESOURCE", "CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE",
    "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL", "CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG",
    "CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND", "CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
)  # fmt: skip

# github.com/moby/moby oci/caps/defaults.go
DEFAULT = frozenset(
    {
        "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW",
        "CAP_SETGID", "CAP_SETUID", "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT",
        "CAP_KILL", "CAP_AUDIT_WRITE",
    }
)  # fmt: skip


def mask(names: frozenset[str]) -> int:
    """`names` as a bit mask. Raises ``ValueError`` for a name that no kernel we know has."""
    bits = 0
    for name in names:
        bits |= 1 << NAMES.index(name)
    return bits


def held(names: frozenset[str]) -> frozenset[str]:
    """Those of `names` that the calling thread is permitted: what `keep` would leave of them."""
    _, permitted, _ = linux.capget()
    return frozenset(name for name in names if permitted >> NAMES.index(name) & 1)


def drop_bounding(kept: int) -> None:
    """Take every capability outside `kept` from the bounding set, those newer than `NAMES` too.

    Needs CAP_SETPCAP. Raises ``OSError``.
    """
    for number in range(64):
        if kept >> number & 1:
            continue
        try:
            linux.prctl(linux.PR_CAPBSET_DROP, number)
        except OSError as error:
            if error.errno == errno.EINVAL:  # one past the kernel's last capability
                return
            raise


def keep(kept: int) -> None:
    """Reduce the calling thread to `kept`, as far as it has them; inheritable and ambient become empty.

    Asks for no more than the launcher has: root on a confined machine starts containers, too.
    """
    _, permitted, _ = linux.capget()
    linux.prctl(linux.PR_CAP_AMBIENT, linux.PR_CAP_AMBIENT_CLEAR_ALL)
    linux.capset(permitted & kept, permitted & kept, 0)
