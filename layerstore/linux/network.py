"""The one thing a container without a network needs of netdevice(7): its loopback interface up."""

from __future__ import annotations

import os
import struct

from layerstore.linux.call import libc
from layerstore.linux.foreign import c_int
from layerstore.linux.ioctl import ioctl

AF_INET = 2
SOCK_DGRAM = 2
SOCK_CLOEXEC = os.O_CLOEXEC
SIOCGIFFLAGS = 0x8913
SIOCSIFFLAGS = 0x8914
IFF_UP = 0x1

# struct ifreq: the name, then a union of 24 bytes that starts with the flags.
_IFREQ = struct.Struct("=16sh22x")

_socket = libc("socket", c_int, c_int, c_int)


def socket(domain: int, type_: int, protocol: int = 0) -> int:
    """socket(2), for callers that cannot afford to import the module of that name."""
    return _socket(domain, type_ | SOCK_CLOEXEC, protocol)


def siocgifflags(fd: int, interface: str) -> int:
    """netdevice(7) SIOCGIFFLAGS: the flags of `interface` in this network namespace."""
    answer = ioctl(fd, "SIOCGIFFLAGS", SIOCGIFFLAGS, _IFREQ.pack(interface.encode(), 0))
    flags: int = _IFREQ.unpack(answer)[1]
    return flags


def siocsifflags(fd: int, interface: str, flags: int) -> None:
    """netdevice(7) SIOCSIFFLAGS."""
    ioctl(fd, "SIOCSIFFLAGS", SIOCSIFFLAGS, _IFREQ.pack(interface.encode(), flags))
