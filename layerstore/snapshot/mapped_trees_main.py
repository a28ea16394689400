"""The process that `layerstore.snapshot.mapped_trees` starts: root of a user namespace, for one call.

Says "ready" when the namespace is there, waits for its ids and for what to do, a verb and paths with NUL between
them, and answers a number, or the code, message and hint of an error.
"""

import os
import sys

from layerstore import linux
from layerstore.disk.trees import Meter, remove_tree
from layerstore.errors import LstoreError, MissingFeature, storage_error
from layerstore.layer.ownership import Ownership
from layerstore.linux import signals
from layerstore.snapshot.directory import DirectoryDriver


def main() -> int:
    """Its exit status."""
    try:
        linux.prctl(linux.PR_SET_PDEATHSIG, signals.SIGKILL)
        _enter()
        _say("ready\n")
        answer = _perform(os.fsdecode(sys.stdin.buffer.read()).split("\0"))
    except LstoreError as error:
        _say("\0".join((error.code, error.message.replace("\0", " "), error.hint or "")))
        return 1
    _say(str(answer))
    return 0


def _enter() -> None:
    try:
        linux.unshare(linux.CLONE_NEWUSER)
    except OSError as error:
        raise MissingFeature(
            f"cannot create a user namespace: {(error.strerror or '').lower()}",
            hint="sysctl user.max_user_namespaces",
        ) from error


def _perform(call: list[str]) -> int:
    """What is asked for as a number, or nothing."""
    match call:
        case ["assemble", directory, parent, *layers]:
            try:
                DirectoryDriver(Ownership.MAPPED).assemble(layers, directory, parent or None)
            except BaseException:
                _remove(directory)  # the caller could not
                raise
        case ["remove", path]:
            _remove(path)
        case ["measure", path]:
            return _measure(path)
        case _:
            raise LstoreError("nothing to do: the process that called has ended")
    return 0


def _remove(path: str) -> None:
    try:
        remove_tree(path)
    except OSError as error:
        raise storage_error(error, f"remove {path}") from error


def _measure(path: str) -> int:
    try:
        return Meter().measure(path).size
    except OSError as error:
        raise storage_error(error, f"measure {path}") from error


def _say(text: str) -> None:
    os.write(1, text.encode(errors="replace"))
