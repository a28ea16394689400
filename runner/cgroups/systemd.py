"""A scope of systemd's: the control group that a host under systemd lets us rule (its "single-writer rule").

systemd owns the tree and delegates parts of it. The process that looks after a container asks for a transient scope
with itself in it and ``Delegate=yes``, over systemd's own socket: org.freedesktop.systemd1(5), StartTransientUnit, in
the D-Bus specification's wire format. systemd removes the scope when the last process in it has ended.
"""

from __future__ import annotations

import _socket  # socket's own module costs 6 ms
import os
import struct
import time

from layerstore.errors import MissingFeature
from runner.failure import Doing

RUNNING = "/run/systemd/system"  # sd_booted(3)
_SYSTEM_SOCKET = "/run/systemd/private"
_PATIENCE = 10.0
_PAUSE = 0.002
_MAX_LINE = 512
_MAX_MESSAGE = 1 << 20
_HINT = "systemctl status"

# D-Bus specification, "Message Protocol".
_CALL, _RETURN, _ERROR = 1, 2, 3
_PATH, _INTERFACE, _MEMBER, _SIGNATURE = 1, 2, 3, 8
_SERIAL = 1


def socket_path(uid: int) -> str:
    """Where the manager of the user `uid` listens; root's is the system's."""
    return _SYSTEM_SOCKET if uid == 0 else f"/run/user/{uid}/systemd/private"


def start_scope(name: str, pid: int, socket: str) -> None:
    """Have the process `pid` be moved into the new, delegated scope `name`; returns when it is there.

    Raises `MissingFeature` where systemd refuses, `LaunchError` where it cannot be reached.
    """
    before = _group_of(pid)
    with Doing("reach systemd", hint=_HINT):
        connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        try:
            connection.settimeout(_PATIENCE)
            connection.connect(socket)
            _authenticate(connection)
            connection.sendall(start_message(name, pid))
            _await_reply(connection)
        finally:
            connection.close()
    deadline = time.monotonic() + _PATIENCE
    while _group_of(pid) == before:
        if time.monotonic() > deadline:
            raise MissingFeature(
                "cannot get a control group of systemd: it did not move us there", hint=_HINT
            )
        time.sleep(_PAUSE)


def _group_of(pid: int) -> str:
    with open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="surrogateescape") as file:
        return file.read()


def _authenticate(connection: _socket.socket) -> None:
    """D-Bus specification, "Authentication Protocol": EXTERNAL, by the credentials of the socket."""
    identity = str(os.geteuid()).encode().hex()
    connection.sendall(f"\0AUTH EXTERNAL {identity}\r\n".encode())
    answer = b""
    while not answer.endswith(b"\r\n") and len(answer) < _MAX_LINE:
        piece = connection.recv(1)
        if not piece:
            break
        answer += piece
    if not answer.startswith(b"OK "):
        raise MissingFeature("cannot get a control group of systemd: it does not know us", hint=_HINT)
    connection.sendall(b"BEGIN\r\n")


def _await_reply(connection: _socket.socket) -> None:
    """Read messages up to the answer to ours; signals may come before it."""
    while True:
        head = _receive(connection, 16)
        kind = head[1]
        body, fields = struct.unpack("<I", head[4:8])[0], struct.unpack("<I", head[12:16])[0]
        padded = -(-fields // 8) * 8
        if body + padded > _MAX_MESSAGE:
            raise MissingFeature("cannot get a control group of systemd: its answer is too long", hint=_HINT)
        rest = _receive(connection, padded + body)
        if kind == _RETURN:
            return
        if kind == _ERROR:
            text = _first_text(rest[padded:])
            raise MissingFeature(f"cannot get a control group of systemd: {text.lower()}", hint=_HINT)


def _first_text(body: bytes) -> str:
    if len(body) < 4:
        return "it refused"
    length = struct.unpack("<I", body[:4])[0]
    return body[4 : 4 + length].decode(errors="replace")


def _receive(connection: _socket.socket, length: int) -> bytes:
    received = b""
    while len(received) < length:
        piece = connection.recv(length - len(received))
        if not piece:
            raise ConnectionResetError("it hung up")
        received += piece
    return received


class _Writer:
    """The D-Bus wire format, little endian: each kind of value at its alignment."""

    def __init__(self) -> None:
        self.data = bytearray()

    def align(self, size: int) -> None:
        self.data += b"\0" * (-len(self.data) % size)

    def number(self, value: int) -> None:
        self.align(4)
        self.data += struct.pack("<I", value)

    def text(self, value: str) -> None:
        raw = value.encode()
        self.number(len(raw))
        self.data += raw + b"\0"

    def signature(self, value: str) -> None:
        self.data += bytes([len(value)]) + value.encode() + b"\0"

    def property(self, name: str, kind: str, value: str | bool | list[int]) -> None:
        """A (sv)."""
        self.align(8)
        self.text(name)
        self.signature(kind)
        if isinstance(value, str):
            self.text(value)
        elif isinstance(value, bool):
            self.number(int(value))
        else:
            self.number(4 * len(value))
            for each in value:
                self.number(each)

    def header(self, code: int, kind: str, value: str) -> None:
        """A (yv) of the message's header."""
        self.align(8)
        self.data += bytes([code])
        self.signature(kind)
        if kind == "g":
            self.signature(value)
        else:
            self.text(value)


def start_message(name: str, pid: int) -> bytes:
    """The call of StartTransientUnit that asks for the scope. Pure."""
    body = _body(name, pid)
    fields = _Writer()
    for code, kind, value in (
        (_PATH, "o", "/org/freedesktop/systemd1"),
        (_INTERFACE, "s", "org.freedesktop.systemd1.Manager"),
        (_MEMBER, "s", "StartTransientUnit"),
        (_SIGNATURE, "g", "ssa(sv)a(sa(sv))"),
    ):
        fields.header(code, kind, value)
    length = len(fields.data)
    fields.align(8)
    head = struct.pack("<cBBBIII", b"l", _CALL, 0, 1, len(body), _SERIAL, length)
    return head + bytes(fields.data) + body


def _body(name: str, pid: int) -> bytes:
    properties = _Writer()
    properties.property("Description", "s", "A container of lstore")
    properties.property("Delegate", "b", True)
    properties.property("CollectMode", "s", "inactive-or-failed")
    properties.property("PIDs", "au", [pid])
    body = _Writer()
    body.text(name)
    body.text("fail")
    body.number(len(properties.data))
    body.align(8)
    body.data += properties.data
    body.number(0)
    body.align(8)
    return bytes(body.data)
