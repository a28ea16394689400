"""What a terminal sends when keys are pressed → names of keys. Pure; the sequences are xterm's and the VT220's."""

from collections.abc import Iterator

_ESCAPE = b"\x1b"
_SEQUENCES = {
    b"\x1b[A": "up",
    b"\x1b[B": "down",
    b"\x1b[C": "right",
    b"\x1b[D": "left",
    b"\x1bOA": "up",
    b"\x1bOB": "down",
    b"\x1bOC": "right",
    b"\x1bOD": "left",
    b"\x1b[H": "home",
    b"\x1b[F": "end",
    b"\x1bOH": "home",
    b"\x1bOF": "end",
    b"\x1b[1~": "home",
    b"\x1b[4~": "end",
    b"\x1b[5~": "page-up",
    b"\x1b[6~": "page-down",
    b"\x1b[Z": "backtab",
}
_CONTROLS = {
    "\r": "enter",
    "\n": "enter",
    "\t": "tab",
    "\x7f": "backspace",
    "\x08": "backspace",
    "\x03": "ctrl-c",
    "\x04": "ctrl-d",
}


def is_incomplete(data: bytes) -> bool:
    """Whether `data` may be the beginning of a sequence of which the rest is under way."""
    tail = data[data.rfind(_ESCAPE) :] if _ESCAPE in data else b""
    return bool(tail) and any(each != tail and each.startswith(tail) for each in _SEQUENCES)


def decode_keys(data: bytes) -> Iterator[str]:
    """The keys in `data`: a printable character is its own name. Sequences of unknown keys are skipped."""
    while data:
        if data.startswith(_ESCAPE):
            key, size = _sequence(data)
            data = data[size:]
            if key:
                yield key
            continue
        text = data.partition(_ESCAPE)[0]
        for character in text.decode("utf-8", "ignore"):
            if name := _CONTROLS.get(character, character if character.isprintable() else ""):
                yield name
        data = data[len(text) :]


def _sequence(data: bytes) -> tuple[str, int]:
    """The key that `data` starts with, and how many bytes it is."""
    for sequence, name in _SEQUENCES.items():
        if data.startswith(sequence):
            return name, len(sequence)
    if data[1:2] not in (b"[", b"O"):
        return "escape", 1
    end = 2
    while end < len(data) and not 0x40 <= data[end] <= 0x7E:  # ECMA-48, 5.4: a final byte ends the sequence
        end += 1
    return "", end + 1
