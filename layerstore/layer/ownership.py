"""Whose files a process may make, and so how much of a layer's metadata it can restore."""

import os
from enum import Enum
from typing import Final

_ALL_IDS: Final = 4294967295
_UID_MAP: Final = "/proc/self/uid_map"


class Ownership(Enum):
    """What becomes of owners, device nodes and privileged attributes."""

    EXACT = "exact"
    """Root: all of it as the layers say, or an error."""
    MAPPED = "mapped"
    """Root of a user namespace: owners as the layers say; no device nodes, and no attribute that the kernel refuses."""
    IGNORED = "ignored"
    """One id alone: everything is the caller's; the rest as with `MAPPED`. Set-id bits are kept."""

    @classmethod
    def of(cls, euid: int, uid_map: str) -> "Ownership":
        """What a process of `euid` can do, whose ``/proc/PID/uid_map`` is `uid_map`. user_namespaces(7)."""
        ranges = [tuple(int(field) for field in line.split()) for line in uid_map.splitlines()]
        if euid != 0 or sum(count for _, _, count in ranges) == 1:
            return cls.IGNORED
        return cls.EXACT if ranges == [(0, 0, _ALL_IDS)] else cls.MAPPED

    @classmethod
    def of_process(cls) -> "Ownership":
        """What this process can do."""
        with open(_UID_MAP, encoding="ascii") as stream:
            return cls.of(os.geteuid(), stream.read())
