"""What a process is listed as: its own memory that the kernel shows as its command line and environment."""

from __future__ import annotations

from layerstore.linux.foreign import memmove, memset

_STAT_AFTER_NAME = 3
"""The field of proc(5) stat that follows the name, the only one that may hold spaces."""
_ARG_START = 48


def set_title(title: bytes) -> None:
    """Let the calling process be listed as `title`, as far as that fits, and with an empty environment.

    What the two areas held is lost. proc(5): cmdline, environ, and stat's fields 48 to 51. The caller must need
    ``environ`` no more, and share the memory with nobody.
    """
    with open("/proc/self/stat", "rb") as stream:
        fields = stream.read().rpartition(b") ")[2].split()
    first = _ARG_START - _STAT_AFTER_NAME
    arg_start, arg_end, env_start, env_end = map(int, fields[first : first + 4])
    memset(env_start, 0, env_end - env_start)
    memset(arg_start, 0, arg_end - arg_start)
    shown = title[: arg_end - arg_start - 1]
    memmove(arg_start, shown, len(shown))
