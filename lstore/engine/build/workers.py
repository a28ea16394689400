"""Processes for single steps, side by side, forked from one that was forked before any thread started.

A container's first process has to be cloned from a process without threads (`runner.launch.start`), and
whoever mounts something to read it does so in a mount namespace of its own. A step's process ends with its
step; all of them die with the build, by parent-death signals (prctl(2)).
"""

import os
import pickle
import select
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final, Protocol

from layerstore import errors, linux
from layerstore.errors import LstoreError
from layerstore.tasks import Cancellation
from runner.stdio import fill_standard_descriptors

_LOOK: Final = 100
"""Milliseconds between two looks at whether a sibling failed."""
_CHUNK: Final = 1 << 16


class Work(Protocol):
    """What a process is to do. Pickled on its way: the process has no memory in common with its caller."""

    def perform(self, output: int) -> bytes:
        """Do it; what it writes to the descriptor `output` reaches the caller as it comes. The answer is bytes."""
        ...


class Call:
    """Work that a process was begun for. `finish` is to be called, once."""

    def __init__(self, ours: socket.socket, reader: int) -> None:
        self._ours = ours
        self._reader = reader

    def finish(self, output: Callable[[bytes], None], cancellation: Cancellation) -> bytes:
        """What the work answers. Raises the `LstoreError` that it raised, `Cancelled`.

        `output` gets what the process writes, in pieces.
        """
        try:
            pid = int.from_bytes(_exactly(self._ours, 4))
            try:
                _pump(self._reader, output, cancellation)
                return _answer(self._ours, cancellation)
            except BaseException:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                with suppress(ConnectionResetError):  # it had not read all of its work
                    while self._ours.recv(_CHUNK):
                        pass
                raise
        finally:
            os.close(self._reader)
            self._ours.close()


class Workers:
    """Made by `opened_workers`; to be called from any thread."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control

    def perform(self, work: Work, output: Callable[[bytes], None], cancellation: Cancellation) -> bytes:
        """What `work` answers, performed in a new process. Raises as `Call.finish` does."""
        return self.begin(work).finish(output, cancellation)

    def begin(self, work: Work) -> Call:
        """Let a new process begin with `work`. Raises ``OSError`` where the processes' parent is gone."""
        ours, theirs = socket.socketpair()
        reader, writer = os.pipe()
        try:
            socket.send_fds(self._control, [b"!"], [theirs.fileno(), writer])
            ours.sendall(pickle.dumps(work))
            ours.shutdown(socket.SHUT_WR)
        except BaseException:
            os.close(reader)
            ours.close()
            raise
        finally:
            theirs.close()
            os.close(writer)
        return Call(ours, reader)


@contextmanager
def opened_workers() -> Iterator[Workers]:
    """Workers for the block; none is left after it. To be opened while this process has no threads."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid == 0:
        _be_parent_of_workers(ours, theirs)
    theirs.close()
    try:
        yield Workers(ours)
    finally:
        ours.close()
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _pump(reader: int, output: Callable[[bytes], None], cancellation: Cancellation) -> None:
    """Pass on what comes from the pipe `reader` until its end."""
    poll = select.poll()
    poll.register(reader, select.POLLIN)
    while True:
        cancellation.check()
        if poll.poll(_LOOK):
            piece = os.read(reader, _CHUNK)
            if not piece:
                return
            output(piece)


def _answer(ours: socket.socket, cancellation: Cancellation) -> bytes:
    poll = select.poll()
    poll.register(ours, select.POLLIN)
    while not poll.poll(_LOOK):
        cancellation.check()
    raw = b"".join(iter(lambda: ours.recv(_CHUNK), b""))
    if not raw:
        raise LstoreError("the process of a build step was killed")
    kind, *rest = pickle.loads(raw)  # noqa: S301  # from our own child, which was forked from this process
    if kind == "answer":
        return bytes(rest[0])
    raise _error(*rest)


def _error(code: str, message: str, hint: str | None, status: int) -> LstoreError:
    """The error that a process told of, as far as its class takes nothing more than these."""
    error = errors.kind_of(code)(message, hint=hint)
    error.exit_status = status
    return error


def _exactly(stream: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = stream.recv(size - len(data))
        if not piece:
            raise LstoreError("the process of a build step did not start")
        data += piece
    return data


def _be_parent_of_workers(callers: socket.socket, control: socket.socket) -> None:
    """Fork a process for each pair of descriptors that comes. Never returns."""
    try:
        linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the caller has it too, and ends us
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        callers.close()
        fill_standard_descriptors()
        while True:
            message, descriptors, _, _ = socket.recv_fds(control, 1, 2)
            if not message:
                break
            if os.fork() == 0:
                control.close()
                _be_worker(*descriptors)
            for descriptor in descriptors:
                os.close(descriptor)
            _reap()
    finally:
        os._exit(0)


def _reap() -> None:
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _be_worker(call: int, output: int) -> None:
    """Perform the work that comes from the socket `call`, and answer there. Never returns."""
    try:
        linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
        stream = socket.socket(fileno=call)
        stream.sendall(os.getpid().to_bytes(4))
        raw = b"".join(iter(lambda: stream.recv(_CHUNK), b""))
        work: Work = pickle.loads(raw)  # noqa: S301  # from the process that we were forked from
        stream.sendall(pickle.dumps(_perform(work, output)))
    finally:
        os._exit(0)


def _perform(work: Work, output: int) -> tuple[str, bytes] | tuple[str, str, str, str | None, int]:
    try:
        return "answer", work.perform(output)
    except LstoreError as error:
        return "error", error.code, error.message, error.hint, error.exit_status
    except BaseException as error:  # whatever it is, the caller must hear of it
        message = f"a build step broke: {type(error).__name__}: {error}"
        return "error", LstoreError.code, message, None, errors.EXIT_FAILURE
    finally:
        os.close(output)
