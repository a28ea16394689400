"""A client at a container's monitor: our standard streams, or our terminal, joined with the container's.

Neither side can stall the other for good: input that the monitor does not take yet is kept here, and its
output is read all the while.
"""

from __future__ import annotations

import os
import struct

from layerstore.linux import signals
from runner import window, wire
from runner.keys import Detacher
from runner.loop import READABLE, WRITABLE, Loop
from runner.terminal import Handlers, Raw, read_input, write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from types import FrameType

# What a client that proxies signals passes on: docker's, but for those about its own children and pipes.
PROXIED = (signals.SIGINT, signals.SIGTERM, signals.SIGHUP, signals.SIGQUIT, signals.SIGUSR1, signals.SIGUSR2)


class Attachment:
    """One client. With `has_terminal`, our terminal, if standard input is one, is raw while `run` goes on.

    `outputs` are the kinds of message that are shown, `wire.OUTPUT` and `wire.ERRORS`.
    """

    def __init__(
        self,
        connection: _socket.socket,
        *,
        has_terminal: bool,
        sends_input: bool,
        outputs: bytes,
        proxies_signals: bool,
        detach_keys: bytes,
    ) -> None:
        self._connection = connection
        self._has_terminal = has_terminal and os.isatty(0)
        self._sends_input = sends_input
        self._outputs = outputs
        self._proxied = PROXIED if proxies_signals else ()
        self._detacher = Detacher(detach_keys if self._has_terminal else b"")
        self._loop = Loop()
        self._pending: list[bytes] = []
        self._is_flushing = False
        self._is_input_held = False
        self._status: int | None = None

    def run(self) -> int | None:
        """Stay attached until the container's run ends, then its exit status; None where the user detached.

        Without outputs, until our input ends, if that is sooner; then None, too.
        Raises ``BrokenPipeError`` where nobody reads our output, ``ConnectionError`` where the monitor died.
        """
        if self._is_done:
            return None
        self._connection.setblocking(False)
        self._watch()
        if self._sends_input:
            self._loop.watch(0, READABLE, self._read_input)
        with Raw(is_raw=self._has_terminal), Handlers(self._handlers()):
            if self._has_terminal:
                self._send_size()
            self._loop.run()
        return self._status

    @property
    def _is_done(self) -> bool:
        return not (self._outputs or self._sends_input or self._pending)

    def wait_until_closed(self) -> None:
        """Wait for the monitor to have cleared all away."""
        self._connection.setblocking(True)
        while wire.receive(self._connection):
            pass

    def _handlers(self) -> dict[int, object]:
        handlers: dict[int, object] = dict.fromkeys(self._proxied, self._on_signal)
        if self._has_terminal:
            handlers[signals.SIGWINCH] = lambda _number, _frame: self._send_size()
        return handlers

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._send(wire.SIGNAL + bytes([number]))

    def _send_size(self) -> None:
        self._send(wire.RESIZE + struct.pack("HH", *window.size(0)))

    def _watch(self) -> None:
        events = READABLE | (WRITABLE if self._pending else 0)
        self._loop.watch(self._connection.fileno(), events, self._serve)

    def _serve(self) -> None:
        self._flush()
        try:
            message = wire.receive(self._connection)
        except BlockingIOError:
            return
        if not message:
            raise ConnectionError("the container's monitor ended")
        kind, data = message[:1], message[1:]
        if kind == wire.EXITED:
            self._status = data[0]
            self._loop.stop()
        elif kind in self._outputs:
            write_all(1 if kind == wire.OUTPUT else 2, data)

    def _read_input(self) -> None:
        data = read_input()
        if not data:
            self._loop.forget(0)
            self._sends_input = False
            self._send(wire.END_OF_INPUT)
            return
        meant = self._detacher.feed(data)
        if meant:
            self._send(wire.INPUT + meant)
        if self._detacher.is_detached:
            self._loop.stop()

    def _send(self, message: bytes) -> None:
        self._pending.append(message)
        self._flush()

    def _flush(self) -> None:
        if self._is_flushing:
            return  # a signal came in between: what it has to send is next
        self._is_flushing = True
        try:
            while self._pending:
                self._connection.send(self._pending[0])
                del self._pending[0]
        except BlockingIOError:
            pass
        except OSError:  # reading will tell why
            self._pending.clear()
        finally:
            self._is_flushing = False
        self._hold_input(is_held=bool(self._pending))
        self._watch()
        if self._is_done:
            self._loop.stop()

    def _hold_input(self, *, is_held: bool) -> None:
        """Read our input no faster than the monitor takes it."""
        if is_held == self._is_input_held or not self._sends_input:
            return
        self._is_input_held = is_held
        if is_held:
            self._loop.forget(0)
        else:
            self._loop.watch(0, READABLE, self._read_input)
