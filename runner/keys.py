"""The keys that detach a client from its terminal: docker's ``--detach-keys``. Pure."""

from __future__ import annotations

from layerstore.errors import UsageError

DEFAULT = "ctrl-p,ctrl-q"
_CONTROLS = {chr(ord("a") + number): bytes([number + 1]) for number in range(26)} | {
    "@": b"\x00", "[": b"\x1b", "\\": b"\x1c", "]": b"\x1d", "^": b"\x1e", "_": b"\x1f",
}  # fmt: skip


def parse_keys(text: str) -> bytes:
    """The bytes that ``ctrl-p,ctrl-q`` or ``a,ctrl-x`` type; none for "". Raises `UsageError`."""
    return b"".join(_key(each) for each in text.split(",")) if text else b""


def _key(text: str) -> bytes:
    if len(text.encode()) == 1:
        return text.encode()
    control = text.removeprefix("ctrl-").lower()
    if text.startswith("ctrl-") and control in _CONTROLS:
        return _CONTROLS[control]
    raise UsageError(f"invalid detach key {text[:20]!r}: write ctrl-x, or one character")


class Detacher:
    """Watches what is typed for the detach keys, whatever the pieces it comes in."""

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._matched = 0
        self.is_detached = False

    def feed(self, data: bytes) -> bytes:
        """What of `data`, and of what was held back before, is meant for the container."""
        if not self._keys:
            return data
        meant = bytearray()
        for byte in data:
            if byte == self._keys[self._matched]:
                self._matched += 1
                if self._matched == len(self._keys):
                    self.is_detached = True
                    break
                continue
            meant += self._keys[: self._matched]
            self._matched = int(byte == self._keys[0])
            if not self._matched:
                meant.append(byte)
            elif len(self._keys) == 1:
                self.is_detached = True
                break
        return bytes(meant)
