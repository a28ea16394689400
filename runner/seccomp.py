"""Putting a process under a filter of its system calls: seccomp(2).

The default one, for docker's default capabilities, is at hand (`runner.seccomp_default`); for others it is assembled.
"""

from __future__ import annotations

import os

from layerstore import linux
from layerstore.errors import MissingFeature
from runner.capabilities import DEFAULT
from runner.seccomp_default import PROGRAMS


def program(kept: frozenset[str], chosen: str = "") -> bytes:
    """The filter for the capabilities `kept`: an array of ``struct sock_filter``.

    Or `chosen`, instructions in hexadecimal as `runner.seccomp_profile` assembles them. Raises `MissingFeature` for a
    machine that has no table of calls here.
    """
    if chosen:
        return bytes.fromhex(chosen)
    machine = os.uname().machine
    if machine not in PROGRAMS:
        raise MissingFeature(f"cannot filter system calls on {machine}")
    if kept == DEFAULT:
        return bytes.fromhex(PROGRAMS[machine])
    from runner.seccomp_filter import assemble

    return b"".join(assemble(machine, kept))


def confine(program: bytes) -> None:
    """Put the calling thread, and all that it starts, under `program`.

    Needs CAP_SYS_ADMIN in its user namespace or no_new_privs. Raises ``OSError``.
    """
    linux.seccomp_set_mode_filter(program)
