"""The writer's side of an indexer process: start it, tell it how far the tar is, take its answer.

Why a process, and why not a fork: a thread would fight the writer's threads for the interpreter lock, and
a fork is safe only while there are no threads. ``python -I -S`` starts in 20 ms, beside the first megabytes.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

import layerstore
from layerstore import errors
from layerstore.errors import LstoreError
from layerstore.layer.changes import Facts
from layerstore.layer.indexer_main import ANSWER, OK, PROGRESS

_START: Final = (
    "import os, sys; sys.path.insert(0, sys.argv[1]); "
    "from layerstore.layer.indexer_main import main; os._exit(main(sys.argv[2:]))"
)
_ROOT: Final = os.path.dirname(os.path.dirname(os.path.abspath(layerstore.__file__)))
_NO_UUID: Final = bytes(16)
_TURNS: Final = os.memfd_create("lstore-indexers")
"""What the indexers of this process lock in turn; made before there are threads that might each make one."""
_KINDS: Final[dict[str, type[LstoreError]]] = {
    kind.code: kind
    for kind in (
        errors.InvalidLayer,
        errors.LimitExceeded,
        errors.UnsupportedContent,
        errors.StoreDamaged,
        errors.StorageError,
        errors.NoSpace,
    )
}


class Indexer:
    """One indexer process at work. Exactly one of `finish` and `abort` ends it; after both it is reaped."""

    def __init__(self, tar: int, index: int, *, userxattr: bool, is_read_soon: bool) -> None:
        command = [sys.executable, "-I", "-S", "-c", _START, _ROOT]
        try:
            with _turn() as turn:
                self._process = subprocess.Popen(
                    [*command, *map(str, (tar, index, int(userxattr), int(is_read_soon), turn))],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    pass_fds=(tar, index, turn),
                    process_group=0,  # the terminal's ^C is the writer's to handle
                    bufsize=0,
                )
        except OSError as error:
            raise errors.storage_error(error, "start the indexer of a layer") from error

    def advance(self, length: int) -> None:
        """The tar is `length` bytes long by now. Raises what the indexer found wrong so far."""
        self._tell(length, sealed=False, uuid=_NO_UUID)

    def finish(self, length: int, uuid: bytes) -> Facts:
        """The tar is complete, `length` bytes long; the facts, once the index is written.

        Raises what `write_layer_index` raises, and `LstoreError` where the process died.
        """
        self._tell(length, sealed=True, uuid=uuid)
        return self._answer()

    def abort(self) -> None:
        """Stop the process and wait for its end. Idempotent."""
        self._process.kill()
        self._close()

    def _tell(self, length: int, *, sealed: bool, uuid: bytes) -> None:
        if self._process.stdin is None:
            raise AssertionError("started with a pipe")
        try:
            self._process.stdin.write(PROGRESS.pack(length, sealed, uuid))
        except BrokenPipeError as error:
            self._answer()
            raise LstoreError("cannot index layer: the indexer stopped listening") from error

    def _answer(self) -> Facts:
        if self._process.stdout is None:
            raise AssertionError("started with a pipe")
        answer = self._process.stdout.read()
        self._close()
        if answer.startswith(OK):
            return Facts(*ANSWER.unpack(answer[len(OK) :]))
        code, _, message = answer.partition(b"\0")
        if not message:
            raise LstoreError(f"cannot index layer: the indexer ended with status {self._process.returncode}")
        raise _KINDS.get(code.decode(), LstoreError)(message.decode())

    def _close(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()
        self._process.wait()


@contextmanager
def _turn() -> Iterator[int]:
    """The file that all our indexers lock in turn, by a description of its own. Raises ``OSError``."""
    fd = os.open(f"/proc/self/fd/{_TURNS}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)
