"""bpf(2), as far as control groups need it: loading one program, and attaching it to a group."""

from __future__ import annotations

import struct

from layerstore.linux.call import by_machine, numbered
from layerstore.linux.foreign import addressof, c_char_p, c_int, c_uint, create_string_buffer

BPF_PROG_TYPE_CGROUP_DEVICE = 15
BPF_CGROUP_DEVICE = 6
BPF_F_ALLOW_MULTI = 2

_BPF_PROG_LOAD = 5
_BPF_PROG_ATTACH = 8

_bpf = numbered("bpf", by_machine(x86_64=321, arm64=280), c_int, c_char_p, c_uint)


def bpf_prog_load(prog_type: int, instructions: bytes) -> int:
    """bpf(2) BPF_PROG_LOAD; `instructions` is an array of ``struct bpf_insn``, 8 bytes each. A descriptor."""
    code = create_string_buffer(instructions, len(instructions))
    license_ = create_string_buffer(b"Apache-2.0")
    attributes = struct.pack(
        "IIQQIIQII", prog_type, len(instructions) // 8, addressof(code), addressof(license_), 0, 0, 0, 0, 0
    )
    return _bpf(_BPF_PROG_LOAD, attributes, len(attributes))


def bpf_prog_attach(target_fd: int, attach_bpf_fd: int, attach_type: int, attach_flags: int) -> None:
    """bpf(2) BPF_PROG_ATTACH: to the control group of version 2 whose directory is `target_fd`."""
    attributes = struct.pack("IIII", target_fd, attach_bpf_fd, attach_type, attach_flags)
    _bpf(_BPF_PROG_ATTACH, attributes, len(attributes))
