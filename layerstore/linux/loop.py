"""Loop devices: loop(4), for kernels that cannot mount EROFS from a plain file."""

from __future__ import annotations

import struct

from layerstore.linux.ioctl import ioctl

LOOP_CONTROL = "/dev/loop-control"
LOOP_CONFIGURE = 0x4C0A
LOOP_CTL_GET_FREE = 0x4C82
LO_FLAGS_READ_ONLY = 1
LO_FLAGS_AUTOCLEAR = 4

# struct loop_config of linux/loop.h: fd, block size, struct loop_info64 (of which only the flags matter
# here), 64 reserved bytes.
_LOOP_CONFIG = struct.Struct("=II 5Q III I 64s 64s 32s 2Q 64x")


def loop_ctl_get_free(control_fd: int) -> int:
    """The number of a loop device that is free at this moment; another process may take it first."""
    return ioctl(control_fd, "LOOP_CTL_GET_FREE", LOOP_CTL_GET_FREE, 0)


def loop_configure(loop_fd: int, file_fd: int, *, block_size: int, flags: int) -> None:
    """Bind `file_fd` to a loop device. Raises ``OSError`` EBUSY when it is bound already. Linux ≥ 5.8."""
    config = _LOOP_CONFIG.pack(file_fd, block_size, *(0,) * 8, flags, b"", b"", b"", 0, 0)
    ioctl(loop_fd, "LOOP_CONFIGURE", LOOP_CONFIGURE, config)
