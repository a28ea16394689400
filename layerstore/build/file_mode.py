"""What ``--chmod`` makes of a mode: octal, or symbolic as chmod(1) has it, without a umask."""

import re
from typing import Final

_CLAUSE: Final = re.compile(r"(?P<who>[ugoa]*)(?P<actions>([-+=][rwxXst]*)+)\Z")
_ACTION: Final = re.compile(r"([-+=])([rwxXst]*)")
_SHIFTS: Final = {"u": 6, "g": 3, "o": 0}
_BITS: Final = {"r": 4, "w": 2, "x": 1}
_SPECIAL: Final = {"u": 0o4000, "g": 0o2000, "o": 0}
_STICKY: Final = 0o1000


def changed_mode(change: str, mode: int, *, is_directory: bool) -> int:
    """Permission bits `mode` after `change`, which `interpret_transfer.is_mode` accepted; empty changes nothing."""
    if not change:
        return mode
    if change.isdigit():
        return int(change, 8)
    for clause in change.split(","):
        match = _CLAUSE.match(clause)
        if match is None:
            raise AssertionError(f"no mode: {change}")
        who = "ugo" if not match["who"] or "a" in match["who"] else match["who"]
        for sign, letters in _ACTION.findall(match["actions"]):
            mode = _act(mode, who, sign, letters, is_directory=is_directory)
    return mode


def _act(mode: int, who: str, sign: str, letters: str, *, is_directory: bool) -> int:
    bits = sum(_BITS[letter] for letter in set(letters) & _BITS.keys())
    if "X" in letters and (is_directory or mode & 0o111):
        bits |= 1
    wanted = sum(bits << _SHIFTS[each] for each in set(who))
    if "s" in letters:
        wanted |= sum(_SPECIAL[each] for each in set(who))
    if "t" in letters:
        wanted |= _STICKY
    if sign == "+":
        return mode | wanted
    if sign == "-":
        return mode & ~wanted
    cleared = sum(7 << _SHIFTS[each] for each in set(who)) | sum(_SPECIAL[each] for each in set(who))
    return mode & ~cleared | wanted
