"""``--chmod``: octal, or symbolic as chmod(1) takes it."""

import re
from typing import Final

_OCTAL: Final = re.compile(r"[0-7]{1,4}\Z")
_CLAUSE: Final = re.compile(r"([ugoa]*)((?:[-+=][rwxXst]*)+)\Z")
_ACTION: Final = re.compile(r"([-+=])([rwxXst]*)")
_CLASSES: Final = {"u": 0o4700, "g": 0o2070, "o": 0o1007, "a": 0o7777}
_BITS: Final = {"r": 0o444, "w": 0o222, "x": 0o111, "s": 0o6000, "t": 0o1000}
_EXECUTE: Final = 0o111


def is_mode(text: str) -> bool:
    """Whether `text` is an octal mode up to 7777, or a list of symbolic ones."""
    return bool(_OCTAL.match(text)) or all(_CLAUSE.match(clause) for clause in text.split(","))


def changed_mode(text: str, mode: int, *, is_directory: bool) -> int:
    """The permission bits `mode` after ``chmod text``, where `is_mode` holds; no umask takes part."""
    if _OCTAL.match(text):
        return int(text, 8)
    for clause in text.split(","):
        match = _CLAUSE.match(clause)
        who, actions = (match[1] or "a", match[2]) if match is not None else ("", "")
        mask = 0
        for each in who:
            mask |= _CLASSES[each]
        for operator, letters in _ACTION.findall(actions):
            mode = _acted(operator, _bits(letters, mode, is_directory=is_directory) & mask, mode, mask)
    return mode


def _bits(letters: str, mode: int, *, is_directory: bool) -> int:
    bits = 0
    for letter in letters:
        if letter == "X":  # only where somebody may execute it already
            bits |= _EXECUTE if is_directory or mode & _EXECUTE else 0
        else:
            bits |= _BITS[letter]
    return bits


def _acted(operator: str, bits: int, mode: int, mask: int) -> int:
    if operator == "+":
        return mode | bits
    if operator == "-":
        return mode & ~bits
    return (mode & ~mask) | bits
