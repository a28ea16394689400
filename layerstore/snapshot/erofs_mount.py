"""Mounting one EROFS image: an index and the tars that it points into, as a mount attached nowhere yet.

Linux 6.12 and later read the files themselves; before, each file goes through a loop device (loop(4)) that
frees itself with the mount. On the path that starts a process: no ``dataclasses`` here.
"""

from __future__ import annotations

import errno
import os

from layerstore import linux

TYPE_CHECKING = False
if TYPE_CHECKING:
    from layerstore.mount import ErofsImage

BLOCK_SIZE = 512
# Another process may take the loop device that was free a moment ago; each retry means somebody got one.
_LOOP_ATTEMPTS = 64
# fsconfig(2) takes strings of at most 255 bytes.
_LONGEST_OPTION = 255


def mount_erofs(image: ErofsImage, *, from_files: bool = True) -> int:
    """The descriptor of a read-only mount of `image`, for move_mount or overlay; closing it unmounts.

    Without `from_files`, or where the kernel answers ENOTBLK, through loop devices. Raises ``OSError``.
    """
    opened: list[int] = []
    try:
        if from_files:
            try:
                return _mount([_option(path, opened) for path in (image.index, *image.devices)])
            except OSError as error:
                if error.errno != errno.ENOTBLK:
                    raise
        return _mount([_loop_device(path, opened) for path in (image.index, *image.devices)])
    finally:
        for fd in opened:
            os.close(fd)


def _mount(sources: list[str]) -> int:
    context = linux.fsopen("erofs")
    try:
        linux.fsconfig_set_string(context, "source", sources[0])
        for device in sources[1:]:
            linux.fsconfig_set_string(context, "device", device)
        linux.fsconfig_set_flag(context, "ro")  # else a read-only loop device is refused with EACCES
        create(context)
        return linux.fsmount(context, linux.MOUNT_ATTR_RDONLY | linux.MOUNT_ATTR_NODEV)
    finally:
        os.close(context)


def create(context: int) -> None:
    """`fsconfig_create`, with what the file system itself had to say in the error it raises."""
    try:
        linux.fsconfig_create(context)
    except OSError as error:
        said = _messages(context)
        raise OSError(error.errno, f"{error.strerror}{f' ({said})' if said else ''}") from error


def _messages(context: int) -> str:
    """The kernel's log of a file system context: one message for each read, ENODATA at the end."""
    messages = []
    while True:
        try:
            messages.append(os.read(context, 1024).decode(errors="replace").strip())
        except OSError:
            return "; ".join(messages)


def _option(path: str, opened: list[int]) -> str:
    """`path`, or a short name for the file where the kernel would not take the long one."""
    if len(os.fsencode(path)) <= _LONGEST_OPTION:
        return path
    opened.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
    return f"/proc/self/fd/{opened[-1]}"


def _loop_device(path: str, opened: list[int]) -> str:
    """The name of a loop device over `path`, which is free again with its last user; adds to `opened`."""
    opened.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
    backing = opened[-1]
    opened.append(os.open(linux.LOOP_CONTROL, os.O_RDWR | os.O_CLOEXEC))
    control = opened[-1]
    flags = linux.LO_FLAGS_READ_ONLY | linux.LO_FLAGS_AUTOCLEAR
    for _ in range(_LOOP_ATTEMPTS):
        name = f"/dev/loop{linux.loop_ctl_get_free(control)}"
        device = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
        try:
            linux.loop_configure(device, backing, block_size=BLOCK_SIZE, flags=flags)
        except OSError as error:
            os.close(device)
            if error.errno != errno.EBUSY:
                raise
            continue
        opened.append(device)
        return name
    raise OSError(errno.EBUSY, "no loop device stays free", path)
