"""Making a container's health checks: one process inside at a time, its output kept, its time limited."""

from __future__ import annotations

import os
import time

from layerstore import linux
from layerstore.errors import LstoreError
from layerstore.linux import signals
from runner import enter
from runner.container import Probe, now
from runner.health import MAX_OUTPUT, SECOND
from runner.loop import READABLE
from runner.stdio import Stdio

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runner.container import ContainerConfig, ContainerState
    from runner.loop import Loop

_NOT_STARTED = 125
_TIMED_OUT = -1  # docker's


class Checks:
    """The health checks of one container. `on_result` gets the state after each, and its health where that is new."""

    def __init__(
        self, loop: Loop, config: ContainerConfig, on_result: Callable[[ContainerState, str], None]
    ) -> None:
        self._loop = loop
        self._config = config
        self._on_result = on_result
        self._began = 0.0
        self._pid = self._pidfd = self._reader = -1
        self._output = b""
        self._start = ""
        self._is_late = False

    def begin(self, state: ContainerState) -> None:
        """The container has started: check from now on, if it is to be checked."""
        self._state = state
        self._began = time.monotonic()
        self._plan()

    def end(self) -> None:
        """The container has ended, and with it a check under way."""
        self._loop.disarm("check")
        self._loop.disarm("check is late")
        if self._pid >= 0:
            self._collect()

    def _plan(self) -> None:
        check = self._config.health
        if check is not None:
            self._loop.alarm("check", check.wait(self._state, self._age()), self._check)

    def _age(self) -> float:
        return time.monotonic() - self._began

    def _check(self) -> None:
        check = self._config.health
        if check is None:
            return
        self._start, self._output, self._is_late = now(), b"", False
        self._reader, writer = os.pipe()
        null = os.open(os.devnull, os.O_RDONLY)
        spec = enter.joining(self._config.spec, check.args)
        try:
            self._pid, self._pidfd = enter.start(self._state, spec, Stdio(null, writer, writer))
        except LstoreError as error:
            os.close(self._reader)
            self._finish(_NOT_STARTED, error.message)
            return
        finally:
            os.close(null)
            os.close(writer)
        os.set_blocking(self._reader, False)
        self._loop.watch(self._reader, READABLE, self._read)
        self._loop.watch(self._pidfd, READABLE, self._end)
        self._loop.alarm("check is late", check.timeout / SECOND, self._kill)

    def _read(self) -> None:
        """Keep the beginning of what there is, and let no check wait for a reader."""
        try:
            while data := os.read(self._reader, MAX_OUTPUT):
                self._output = (self._output + data)[:MAX_OUTPUT]
        except BlockingIOError:
            return
        self._loop.forget(self._reader)

    def _kill(self) -> None:
        self._is_late = True
        linux.pidfd_send_signal(self._pidfd, signals.SIGKILL)

    def _end(self) -> None:
        self._loop.disarm("check is late")
        status = self._collect()
        text = self._output.decode(errors="replace")
        if self._is_late:
            status, text = _TIMED_OUT, f"Health check exceeded timeout ({self._limit()})"
        self._finish(status, text)

    def _limit(self) -> str:
        check = self._config.health
        return f"{check.timeout / SECOND:g}s" if check else ""

    def _collect(self) -> int:
        """Read what is left, reap, and close; the exit status."""
        self._read()
        for fd in (self._reader, self._pidfd):
            self._loop.forget(fd)
            os.close(fd)
        code = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        self._pid = self._pidfd = self._reader = -1
        return code if code >= 0 else 128 - code

    def _finish(self, status: int, output: str) -> None:
        check = self._config.health
        if check is None:
            return
        before = self._state.health
        self._state = check.judge(self._state, Probe(self._start, now(), status, output), self._age())
        self._on_result(self._state, self._state.health if self._state.health != before else "")
        self._plan()
