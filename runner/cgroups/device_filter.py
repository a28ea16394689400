"""The device controller of control groups of version 2: a program that the kernel asks at each open and mknod(2).

Linux ``Documentation/admin-guide/cgroup-v2.rst``, "Device controller"; ``struct bpf_cgroup_dev_ctx``. Rules are the
lines that version 1's devices.allow takes; what none of them allows is denied.
"""

from __future__ import annotations

import os
import struct

from layerstore import linux
from runner.failure import Doing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

# linux/bpf.h
_TYPES = {"b": 1, "c": 2}
_ACCESS = {"m": 1, "r": 2, "w": 4}
_LOAD_WORD, _MOVE, _MOVE_VALUE, _SHIFT_RIGHT, _AND, _IF_NOT_EQUAL, _EXIT = (
    0x61,
    0xBF,
    0xB7,
    0x77,
    0x57,
    0x55,
    0x95,
)
_RESULT, _CONTEXT, _TYPE, _WANTED, _MAJOR, _MINOR, _DENIED = range(7)


def assemble(rules: Iterable[str]) -> bytes:
    """The program that allows what `rules` ("c 1:3 rwm", "b *:* m") do. Raises ``ValueError``, ``KeyError``."""
    start = (
        _code(_LOAD_WORD, _TYPE, _CONTEXT, offset=0),
        _code(_MOVE, _WANTED, _TYPE),
        _code(_SHIFT_RIGHT, _WANTED, value=16),
        _code(_AND, _TYPE, value=0xFFFF),
        _code(_LOAD_WORD, _MAJOR, _CONTEXT, offset=4),
        _code(_LOAD_WORD, _MINOR, _CONTEXT, offset=8),
    )
    deny = (_code(_MOVE_VALUE, _RESULT, value=0), _code(_EXIT))
    return b"".join((*start, *(_rule(rule) for rule in rules), *deny))


def _rule(rule: str) -> bytes:
    """Allows, or goes on to what follows."""
    kind, numbers, access = rule.split()
    major, minor = numbers.split(":")
    allowed = sum(_ACCESS[letter] for letter in access)
    tests = [
        (_TYPE, _TYPES[kind], ()),
        (_DENIED, 0, (_code(_MOVE, _DENIED, _WANTED), _code(_AND, _DENIED, value=~allowed & 0x7))),
        *((register, int(text), ()) for register, text in ((_MAJOR, major), (_MINOR, minor)) if text != "*"),
    ]
    body = [_code(_MOVE_VALUE, _RESULT, value=1), _code(_EXIT)]
    for register, value, before in reversed(tests):
        body = [*before, _code(_IF_NOT_EQUAL, register, offset=len(body), value=value), *body]
    return b"".join(body)


def _code(operation: int, target: int = 0, source: int = 0, *, offset: int = 0, value: int = 0) -> bytes:
    return struct.pack("=BBhi", operation, source << 4 | target, offset, value)


def attach(directory: str, rules: Iterable[str]) -> None:
    """Confine the devices of the group `directory` to `rules`, on top of what holds above it. Raises `LaunchError`."""
    with Doing("confine devices (bpf)", hint="lstore info"):
        program = linux.bpf_prog_load(linux.BPF_PROG_TYPE_CGROUP_DEVICE, assemble(rules))
        group = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            linux.bpf_prog_attach(group, program, linux.BPF_CGROUP_DEVICE, linux.BPF_F_ALLOW_MULTI)
        finally:
            os.close(group)
            os.close(program)
