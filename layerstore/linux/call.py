"""How a system call is bound: argument types fixed once, a failure turned into ``OSError``."""

from __future__ import annotations

import os

from layerstore.linux.foreign import CDLL, PyDLL, c_int, c_long, get_errno

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Path = str | bytes

_libc = CDLL(None, use_errno=True)
# Keeps the interpreter lock: a call that duplicates the process must not come back without it.
_libc_locked = PyDLL(None, use_errno=True)

_IS_X86_64 = os.uname().machine == "x86_64"


class Call:
    """One callable of the kernel; returns its non-negative result.

    Raises ``OSError`` of the fitting subclass, its text the call's name and reason, its filename `path`.
    """

    __slots__ = ("_function", "_name")

    def __init__(self, name: str, function: Callable[..., int]) -> None:
        self._name = name
        self._function = function

    def __call__(self, *arguments: object, path: Path | None = None) -> int:
        result = self._function(*arguments)
        if result < 0:
            number = get_errno()
            raise OSError(number, f"{self._name}: {os.strerror(number)}", path)
        return result


def libc(name: str, *argtypes: type) -> Call:
    """The C library's wrapper `name`, returning an int."""
    function = _libc[name]
    function.argtypes = argtypes
    function.restype = c_int
    return Call(name, function)


def numbered(name: str, number: int, *argtypes: type, keeps_lock: bool = False) -> Call:
    """A system call by its number, for those that Debian 12's C library, or another one, does not wrap."""
    function = (_libc_locked if keeps_lock else _libc)["syscall"]
    function.argtypes = (c_long, *argtypes)
    function.restype = c_long
    return Call(name, lambda *arguments: function(number, *arguments))


def interpreter(name: str) -> Callable[[], None]:
    """A function of Python's own (docs.python.org, c-api/sys) that takes and returns nothing."""
    function = _libc_locked[name]
    function.restype = None
    return function


def by_machine(*, x86_64: int, arm64: int) -> int:
    """The number of a call older than the common table (which starts at 424); arm64's is the generic one."""
    return x86_64 if _IS_X86_64 else arm64


def encoded(text: Path | None) -> bytes | None:
    """`text` as the kernel takes it. Raises ``ValueError`` for an embedded NUL, which C would cut at."""
    if text is None:
        return None
    raw = os.fsencode(text)
    if b"\0" in raw:
        raise ValueError(f"embedded null byte in {text!r}")
    return raw
