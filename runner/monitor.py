"""The monitor: one small process per container, which outlives whoever started it. Stage "process" of docs/flow.md.

It is the parent of the container's first process, owns its input and output, keeps its log, serves clients
(`runner.wire`), writes down how it ends, and starts it again where its policy says so. It holds the lock
``monitor`` in the container's directory for as long as it lives; when it is killed, the kernel kills the
container's first process, and so all of it.

Imports are what costs a monitor memory: this module and those below it take care.
"""

from __future__ import annotations

import _socket  # socket's own module costs 6 ms and half a megabyte in each monitor
import os
import struct
import time

from layerstore import linux
from layerstore.disk import locks
from layerstore.disk.publish import remove_file
from layerstore.errors import EXIT_USAGE, LaunchError, LstoreError
from layerstore.linux import signals
from runner import cgroups, events, launch, wire
from runner.audience import Audience
from runner.container import now
from runner.failure import to_report
from runner.home import Home, boot_id, process_start
from runner.launch import Surroundings, close_all_but
from runner.log_file import log_of
from runner.loop import READABLE, Loop
from runner.order import STARTED
from runner.restart import RestartPolicy, next_wait
from runner.stdio import Stdio
from runner.streams import Streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import NoReturn

    from layerstore.mount import MountStack
    from runner.audience import Client
    from runner.checks import Checks
    from runner.container import ContainerState
    from runner.order import Launcher, Order

_TRY_AGAIN = 1.0
"""Seconds until a state is written that there was no room for."""
_STREAM_NAMES = {wire.OUTPUT: "stdout", wire.ERRORS: "stderr"}


def main(
    launcher: Launcher,
    attach: Callable[[MountStack, str], None],
    remover: Callable[[], Callable[[Order], None]],
    settled: Callable[[], None],
) -> NoReturn:
    """Become the monitor that the order of `launcher` asks for; never returns. Ends where there is none.

    `attach` mounts a root filesystem; `remover`, called while the container runs, gives what removes all of it;
    `settled` is called when nothing is left to do but to wait.
    """
    linux.load_all()  # before there is anything to do
    received = launcher.receive()
    if received is None:
        os._exit(0)
    wanted, (lock, *clients) = received
    close_all_but(0, 1, 2, launcher.fileno(), lock, *clients)
    os.chdir("/")
    linux.set_title(f"lstore: monitor of {wanted.config.name}".encode())
    try:
        monitor = Monitor(wanted, attach)
        monitor.start(clients)
    except BaseException as error:
        launcher.report(to_report(error))
        os._exit(1)
    launcher.report(STARTED)
    os.close(lock)
    remove = remover() if wanted.config.is_removed_at_end else None
    settled()
    monitor.attend()
    if remove is not None:
        remove(wanted)
    close_all_but()  # nobody who waits for us needs to wait until our memory is freed
    os._exit(0)


class Monitor:
    """One container under way."""

    def __init__(self, wanted: Order, attach: Callable[[MountStack, str], None]) -> None:
        self._order = wanted
        self._config = wanted.config
        self._attach = attach
        self._is_durable = not wanted.config.is_removed_at_end
        self._home = Home(wanted.containers, wanted.config.id)
        self._lock = locks.open_lock(self._home.file("monitor"))
        self._lock.exclusive()
        self._policy = wanted.config.restart
        self._loop = Loop()
        self._log = log_of(self._home.path, wanted.config)
        self._audience = Audience(
            self._loop, on_message=self._on_message, on_gone=self._on_gone, on_change=self._balance
        )
        self._streams = Streams(self._loop, self._on_output, self._on_full)
        self._checks: Checks | None = None
        self._state = self._written = wanted.state
        self._pid = self._pidfd = -1
        self._staged = ""
        self._began = 0.0
        self._wait = 0.0
        self._is_interrupted = False

    def start(self, clients: Sequence[int]) -> None:
        """Start the container's first process and write down that it runs. Raises `LaunchError`."""
        self._listen()
        for fd in clients:
            connection = _socket.socket(fileno=fd)
            self._audience.admit(connection, wire.OUTPUT + wire.ERRORS + wire.EXITED)
        self._state = self._state.but(restarts=0, is_stopped=False, health="", failing=0, probes=())
        self._launch()

    def attend(self) -> None:
        """See the container to its final end."""
        self._loop.run()
        self._log.close()
        if self._audience.laggards():
            self._linger()

    def _listen(self) -> None:
        remove_file(self._home.file(wire.SOCKET))
        self._server = wire.listen(self._home.path)
        self._audience.listen(self._server)
        reader, writer = os.pipe()
        for fd in (reader, writer):
            os.set_blocking(fd, False)
        signals.set_wakeup_fd(writer)
        signals.signal(signals.SIGTERM, lambda _number, _frame: None)
        signals.signal(signals.SIGINT, signals.SIG_IGN)
        signals.signal(signals.SIGHUP, signals.SIG_IGN)

        def interrupted() -> None:
            os.read(reader, 64)
            self._interrupt()

        self._loop.watch(reader, READABLE, interrupted)

    def _launch(self) -> None:
        around = Surroundings(self._home.path, self._attach, self._config.network, self._stdio())
        try:
            self._pid, self._pidfd = launch.start(
                self._order.stack, self._config.spec, around, self._stage_state
            )
            self._streams.begin()
            if self._order.rows:
                self._streams.resize(self._order.rows, self._order.columns)
        except BaseException:
            self._streams.finish()
            if self._staged:
                remove_file(self._staged)
            raise
        self._began = time.monotonic()
        try:
            self._home.publish_state(self._staged, is_durable=self._is_durable)
        except LstoreError:
            self._abandon()
            raise
        self._staged, self._written = "", self._state
        events.record(self._order.containers, "start", self._config)
        self._loop.watch(self._pidfd, READABLE, self._on_end)
        if self._config.health is not None:
            self._begin_checks()

    def _stage_state(self, first: int) -> None:
        """Have on the disk that process `first` runs, before it runs the program: nobody is to join it sooner."""
        self._state = self._state.but(
            status="running",
            pid=first,
            pid_start=process_start(first),
            boot=boot_id(),
            exit_code=0,
            error="",
            started_at=now(),
            is_paused=False,
            is_oom_killed=False,
            health="starting" if self._config.health else "",
        )
        self._staged = self._home.stage_state(self._state, is_durable=self._is_durable)

    def _abandon(self) -> None:
        """End a run of which nobody could know."""
        linux.pidfd_send_signal(self._pidfd, signals.SIGKILL)
        launch.exit_status(self._pid)
        os.close(self._pidfd)
        self._pidfd = -1
        self._end_group()
        self._streams.finish()

    def _begin_checks(self) -> None:
        from runner.checks import Checks

        if self._checks is None:
            self._checks = Checks(self._loop, self._config, self._on_health)
        self._checks.begin(self._state)

    def _stdio(self) -> Stdio:
        if self._config.has_terminal:
            return self._streams.open_terminal(self._order.rows, self._order.columns)
        return self._streams.open_pipes(has_input=self._config.has_input)

    # What the container does

    def _on_output(self, kind: bytes, data: bytes) -> None:
        self._log.write(_STREAM_NAMES[kind], data)
        self._audience.tell(kind, data)

    def _on_health(self, state: ContainerState, changed: str) -> None:
        self._state = self._state.but(health=state.health, failing=state.failing, probes=state.probes)
        self._write_state()
        if changed:
            events.record(self._order.containers, f"health_status: {changed}", self._config)

    def _on_end(self) -> None:
        """The first process has ended, and with it all others of its namespace."""
        self._loop.forget(self._pidfd)
        status = launch.exit_status(self._pid)
        os.close(self._pidfd)
        self._pidfd = -1
        self._end_group()
        if self._checks is not None:
            self._checks.end()
        self._loop.disarm("kill")
        self._streams.finish()
        self._log.finish()
        ran = time.monotonic() - self._began
        wants_restart = not (
            self._state.is_stopped or self._is_interrupted or self._config.is_removed_at_end
        ) and self._policy.wants_restart(status, self._state.restarts)
        self._write_end(status, "restarting" if wants_restart else "exited")
        events.record(self._order.containers, "die", self._config, exitCode=str(status))
        self._audience.dismiss(status, is_last=not wants_restart)
        if wants_restart:
            self._wait = next_wait(self._wait, ran)
            self._loop.alarm("restart", self._wait, self._restart)
        else:
            self._loop.stop()

    def _end_group(self) -> None:
        group = cgroups.load(self._home.path)
        if group is not None and cgroups.oom_kills(group):
            self._state = self._state.but(is_oom_killed=True)
            events.record(self._order.containers, "oom", self._config)
        if self._config.spec.runtime:
            from runner import oci_runtime

            oci_runtime.forget(self._config.spec.runtime, self._home.path)
        cgroups.remove(self._home.path)

    def _write_end(self, status: int, name: str) -> None:
        self._state = self._state.but(
            status=name, pid=0, pid_start=0, exit_code=status, finished_at=now(), is_paused=False
        )
        if name != "exited":
            self._write_state()
            return
        try:
            self._home.write_end(self._state, written=self._written, is_durable=self._is_durable)
        except LstoreError:
            return  # whoever looks next sees that there is no monitor any more

    def _write_state(self) -> None:
        """Now, or where the disk is full as soon as there is room: the container itself goes on."""
        try:
            self._write_durably()
        except LstoreError:
            self._loop.alarm("state", _TRY_AGAIN, self._write_state)

    def _write_durably(self) -> None:
        """Raises `StorageError`."""
        self._home.write_state(self._state, is_durable=self._is_durable)
        self._written = self._state
        self._loop.disarm("state")

    def _restart(self) -> None:
        self._state = self._state.but(restarts=self._state.restarts + 1)
        try:
            self._launch()
        except LstoreError as error:
            status = error.exit_status if isinstance(error, LaunchError) else EXIT_USAGE
            self._state = self._state.but(error=error.message)
            self._write_end(status, "exited")
            events.record(self._order.containers, "die", self._config, exitCode=str(status))
            self._audience.dismiss(status, is_last=True)
            self._loop.stop()

    def _interrupt(self) -> None:
        """The machine goes down: end the container in its own way, and let it be as it was for next time."""
        self._is_interrupted = True
        if self._pidfd < 0:
            self._give_up_waiting()
            return
        self._signal(self._config.stop_signal)
        if self._config.stop_timeout >= 0:
            self._loop.alarm("kill", self._config.stop_timeout, lambda: self._signal(signals.SIGKILL))

    def _give_up_waiting(self) -> None:
        self._loop.disarm("restart")
        self._write_end(self._state.exit_code, "exited")
        self._loop.stop()

    # What clients say

    def _on_message(self, client: Client, kind: bytes, data: bytes) -> None:
        if kind == wire.INPUT:
            self._streams.put(data)
        elif kind == wire.END_OF_INPUT:
            if self._config.closes_input:
                self._streams.end_input()
        elif kind == wire.RESIZE:
            self._streams.resize(*struct.unpack("HH", data))
        elif kind == wire.WATCH:
            client.wants = data + wire.EXITED
            self._audience.send(client, wire.DONE)
        else:
            self._on_command(client, kind, data)

    def _on_command(self, client: Client, kind: bytes, data: bytes) -> None:
        try:
            if kind == wire.SIGNAL:
                self._signal(data[0])
            elif kind == wire.STOPPING:
                self._state = self._state.but(is_stopped=True)
                self._write_state()
                if self._pidfd < 0:
                    self._give_up_waiting()
            elif kind == wire.POLICY:
                self._policy = RestartPolicy.parse(data.decode())
            elif kind == wire.PAUSED:
                self._write_paused(is_paused=data == b"\1")
        except (LstoreError, OSError) as error:
            self._audience.send(client, wire.FAILED + str(error).encode()[: wire.MAX_DATA])
        else:
            self._audience.send(client, wire.DONE)

    def _write_paused(self, *, is_paused: bool) -> None:
        """Raises `StorageError`; then nothing has changed, and whoever asked takes it back."""
        before, self._state = self._state, self._state.but(is_paused=is_paused)
        try:
            self._write_durably()
        except LstoreError:
            self._state = before
            raise

    def _signal(self, number: int) -> None:
        if self._pidfd >= 0:
            linux.pidfd_send_signal(self._pidfd, number)

    def _on_gone(self, client: Client) -> None:
        if self._config.closes_input and client.wants and not client.is_leaving:
            self._streams.end_input()

    def _on_full(self, is_full: bool) -> None:
        self._audience.hold_input(is_held=is_full)

    def _balance(self) -> None:
        """Read no faster from the container than its clients read from us."""
        self._streams.pause(is_paused=self._audience.is_lagging)

    def _linger(self) -> None:
        """Leave those clients that read slowly to a child: the container itself has ended."""
        if os.fork():
            return
        self._lock.close()
        self._server.close()
        for client in self._audience.laggards():
            client.connection.setblocking(True)
            client.flush()
        os._exit(0)
