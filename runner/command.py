"""Finding the program inside the container, as its user would, and refusing one that is really the launcher's.

An image whose command, or whose script's ``#!`` line, is /proc/self/exe would make the kernel start the
launcher's own interpreter inside the container, where it could be rewritten (CVE-2019-5736). So each file of
that chain is opened without magic links first.
"""

from __future__ import annotations

import errno
import os
import stat

from layerstore import linux
from layerstore.errors import EXIT_COMMAND_NOT_FOUND, EXIT_NOT_EXECUTABLE, LaunchError

# Linux fs/exec.c: BINPRM_BUF_SIZE, and how deep interpreters may nest.
_SCRIPT_HEAD = 256
_MAX_INTERPRETERS = 5


def find(name: str, path: str) -> str:
    """The file to execute for `name`: itself where it has a slash, else the first in the directories of `path`.

    Asked with the effective ids of the process. Raises `LaunchError` 127 where there is none, 126 where
    there is one that this user may not execute.
    """
    if "/" in name:
        candidates = [name]
    else:
        # An empty entry would mean the working directory, where an image may plant a program.
        candidates = [f"{directory}/{name}" for directory in path.split(":") if directory.startswith("/")]
    denied = None
    for candidate in candidates:
        try:
            mode = os.stat(candidate).st_mode
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            denied = denied or f"{candidate}: {(error.strerror or '').lower()}"
            continue
        if stat.S_ISREG(mode) and os.access(candidate, os.X_OK, effective_ids=True):
            return candidate
        denied = denied or f"{candidate}: {'is a directory' if stat.S_ISDIR(mode) else 'permission denied'}"
    if denied is not None:
        raise LaunchError(f"cannot execute {denied}", exit_status=EXIT_NOT_EXECUTABLE)
    where = "no such file" if "/" in name else f"not in the container's PATH ({path})"
    raise LaunchError(f"cannot find {name}: {where}", exit_status=EXIT_COMMAND_NOT_FOUND)


def refuse_launcher(path: str) -> None:
    """Raises `LaunchError` 126 if `path`, or an interpreter that it names, is reached by a magic link of /proc.

    Needs the right to read what the user may only execute, so it comes before privileges are dropped.
    """
    name = path
    for _ in range(_MAX_INTERPRETERS):
        try:
            flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY
            fd = linux.openat2(linux.AT_FDCWD, name, flags, resolve=linux.RESOLVE_NO_MAGICLINKS)
        except FileNotFoundError:
            return  # the kernel will say so better
        except OSError as error:
            reason = "it leads through /proc" if error.errno == errno.ELOOP else str(error.strerror).lower()
            raise LaunchError(
                f"cannot execute {path}: {name}: {reason}", exit_status=EXIT_NOT_EXECUTABLE
            ) from error
        head = os.read(fd, _SCRIPT_HEAD)
        os.close(fd)
        words = head[2:].split(b"\n")[0].split()
        if not head.startswith(b"#!") or not words:
            return
        name = os.fsdecode(words[0].split(b"\0")[0])


def execute(path: str, args: tuple[str, ...], environment: dict[str, str]) -> None:
    """execve(2); never returns. Raises `LaunchError` 126 or 127 as a shell would exit."""
    try:
        os.execve(path, args, environment)  # noqa: S606 - the command is the user's to choose
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        raise LaunchError(
            f"cannot execute {path}: {(error.strerror or '').lower()}",
            exit_status=EXIT_COMMAND_NOT_FOUND if missing else EXIT_NOT_EXECUTABLE,
        ) from error
