"""Acting on files of the ids that an unprivileged user has beside their own: in a process that is root among them.

The process is root of a user namespace, user_namespaces(7), where ids are what an image says: there layers are
unpacked with their owners, and trees of those owners removed. It is a new interpreter and no fork, since the
caller may have threads; ``python -I -S`` starts in 20 ms.
"""

import os
import subprocess
import sys
from contextlib import suppress
from typing import Final, Protocol

import layerstore
from layerstore.errors import LstoreError, kind_of, storage_error

_START: Final = (
    "import os, sys; sys.path.insert(0, sys.argv[1]); "
    "from layerstore.snapshot.mapped_trees_main import main; os._exit(main())"
)
_ROOT: Final = os.path.dirname(os.path.dirname(os.path.abspath(layerstore.__file__)))


class IdMapper(Protocol):
    """Gives a new user namespace its ids: root there is the user, others are subordinate ids, subuid(5)."""

    @property
    def name(self) -> str:
        """Tells these ids from others; part of a file's name."""
        ...

    def map_ids(self, pid: int) -> None:
        """Map the ids of the user namespace that process `pid` has just made. Raises `LaunchError`."""
        ...


def assemble_mapped(ids: IdMapper, layers: list[str], directory: str, parent: str | None) -> None:
    """`DirectoryDriver.assemble` with owners as the layers say. Raises what that raises, and `LaunchError`."""
    _call(ids, "assemble", directory, parent or "", *layers)


def remove_mapped(ids: IdMapper, path: str) -> None:
    """`remove_tree` for a tree that such owners have files in. Raises `StorageError`, `LaunchError`."""
    _call(ids, "remove", path)


def measure_mapped(ids: IdMapper, path: str) -> int:
    """What a tree that such owners have files in takes on disk, in bytes. Raises `StorageError`, `LaunchError`."""
    return _call(ids, "measure", path)


def _call(ids: IdMapper, verb: str, *arguments: str) -> int:
    """What a process of its own answers that carries out the verb; it ends with the call, whatever happens."""
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _START, _ROOT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            process_group=0,  # the terminal's ^C is ours to handle
            bufsize=0,
        )
    except OSError as error:
        raise storage_error(error, f"start {sys.executable}") from error
    try:
        if process.stdin is None or process.stdout is None:
            raise AssertionError("started with pipes")
        with process.stdin as told, process.stdout as heard:
            answer = heard.readline()
            if answer == b"ready\n":
                ids.map_ids(process.pid)
                with suppress(BrokenPipeError):  # then the answer says why
                    _write(told.fileno(), os.fsencode("\0".join((verb, *arguments))))
                told.close()
                answer = heard.read()
    finally:
        process.kill()
        process.wait()
    if answer.isdigit():
        return int(answer)
    if not answer:
        raise LstoreError(f"cannot {verb}: its process was killed")
    code, message, hint = answer.decode(errors="replace").split("\0")
    raise kind_of(code)(message, hint=hint or None)


def _write(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]
