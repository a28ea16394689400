"""ioctl(2), with the request's name in what is raised."""

from __future__ import annotations

import fcntl

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeVar

    Argument = TypeVar("Argument", int, bytes)


def ioctl(fd: int, name: str, request: int, argument: Argument) -> Argument:
    """ioctl(2): for a number what the kernel returns, for a structure what it made of it."""
    try:
        return fcntl.ioctl(fd, request, argument)
    except OSError as error:
        raise OSError(error.errno, f"ioctl {name}: {error.strerror}") from error
