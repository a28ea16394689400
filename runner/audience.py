"""Those who listen to a container: clients of its monitor, each with what it has not taken yet."""

from __future__ import annotations

import _socket  # socket's own module costs 6 ms and half a megabyte in each monitor

from runner import wire
from runner.loop import READABLE, WRITABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runner.loop import Loop


class Client:
    """One connection. `wants` holds the kinds of message that are sent to it unasked."""

    def __init__(self, connection: _socket.socket, wants: bytes) -> None:
        self.connection = connection
        self.wants = wants
        self.pending: list[bytes] = []
        self.is_leaving = False

    def flush(self) -> bool:
        """Send what is pending, as far as the client takes it; False where it is gone."""
        try:
            while self.pending:
                self.connection.send(self.pending[0])
                del self.pending[0]
        except BlockingIOError:
            return True
        except OSError:
            return False
        return not self.is_leaving


class Audience:
    """All clients. `on_message` gets what they say, `on_gone` those that left; `on_change`: look at `is_lagging`."""

    def __init__(
        self,
        loop: Loop,
        *,
        on_message: Callable[[Client, bytes, bytes], None],
        on_gone: Callable[[Client], None],
        on_change: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._on_message = on_message
        self._on_gone = on_gone
        self._on_change = on_change
        self._clients: dict[int, Client] = {}
        self._is_input_held = False

    @property
    def is_lagging(self) -> bool:
        """Whether some client has not taken all that was sent to it."""
        return any(client.pending for client in self._clients.values())

    def listen(self, server: _socket.socket) -> None:
        """Let clients in that connect to `server`."""

        def accept() -> None:
            try:
                fd, _ = server._accept()  # type: ignore[attr-defined]  # what socket.socket.accept calls
            except OSError:
                return
            self.admit(_socket.socket(fileno=fd), b"")

        self._loop.watch(server.fileno(), READABLE, accept)

    def admit(self, connection: _socket.socket, wants: bytes) -> None:
        """Count the other end of `connection` among the clients."""
        connection.setblocking(False)
        client = Client(connection, wants)
        self._clients[connection.fileno()] = client
        self._update(client)

    def send(self, client: Client, message: bytes) -> None:
        """Send to one client."""
        client.pending.append(message)
        self._flush(client)

    def tell(self, kind: bytes, data: bytes) -> None:
        """Send to all clients that want this kind."""
        for client in tuple(self._clients.values()):
            if kind in client.wants:
                self.send(client, kind + data)

    def dismiss(self, status: int, *, is_last: bool) -> None:
        """Tell all watchers the exit status, and let them go once they have taken everything.

        With `is_last` their connection ends with this process, so that they see when all is cleared away.
        """
        for client in tuple(self._clients.values()):
            if client.wants:
                client.is_leaving = not is_last
                self.send(client, wire.EXITED + bytes([status]))

    def hold_input(self, *, is_held: bool) -> None:
        """Stop, or go on, reading what clients say."""
        if is_held != self._is_input_held:
            self._is_input_held = is_held
            for client in self._clients.values():
                self._update(client)

    def laggards(self) -> list[Client]:
        """Those that have not taken all yet."""
        return [client for client in self._clients.values() if client.pending]

    def _update(self, client: Client) -> None:
        events = (0 if self._is_input_held else READABLE) | (WRITABLE if client.pending else 0)
        if events:
            self._loop.watch(client.connection.fileno(), events, lambda: self._serve(client))
        else:
            self._loop.forget(client.connection.fileno())  # poll(2) would tell of its end again and again

    def _serve(self, client: Client) -> None:
        if not self._is_input_held and not self._read(client):
            self._drop(client)
        elif client.pending:
            self._flush(client)

    def _read(self, client: Client) -> bool:
        try:
            message = client.connection.recv(wire.MAX_DATA + 1)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if message:
            self._on_message(client, message[:1], message[1:])
        return bool(message)

    def _flush(self, client: Client) -> None:
        if not client.flush():
            self._drop(client)
        elif client.connection.fileno() in self._clients:
            self._update(client)
        self._on_change()

    def _drop(self, client: Client) -> None:
        fd = client.connection.fileno()
        if self._clients.pop(fd, None) is not None:
            self._loop.forget(fd)
            client.connection.close()
            client.pending.clear()
            self._on_gone(client)
            self._on_change()
