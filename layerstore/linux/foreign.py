"""What system calls need of ctypes, from its C part alone: the package around that takes 2 ms of a container's start.

Names and meanings are those of the package, which does the same (docs.python.org, library/ctypes).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ctypes import (
        CDLL,
        PyDLL,
        addressof,
        c_char_p,
        c_int,
        c_long,
        c_size_t,
        c_uint,
        c_ulong,
        c_void_p,
        create_string_buffer,
        get_errno,
        memmove,
        memset,
    )
else:
    from _ctypes import (
        FUNCFLAG_CDECL,
        FUNCFLAG_PYTHONAPI,
        FUNCFLAG_USE_ERRNO,
        CFuncPtr,
        _memmove_addr,
        _memset_addr,
        _SimpleCData,
        addressof,
        dlopen,
        get_errno,
    )

    class c_char(_SimpleCData):  # noqa: N801 - the C type's name, as of all below
        _type_ = "c"

    class c_char_p(_SimpleCData):  # noqa: N801
        _type_ = "z"

    class c_int(_SimpleCData):  # noqa: N801
        _type_ = "i"

    class c_uint(_SimpleCData):  # noqa: N801
        _type_ = "I"

    class c_long(_SimpleCData):  # noqa: N801
        _type_ = "l"

    class c_ulong(_SimpleCData):  # noqa: N801
        _type_ = "L"

    class c_void_p(_SimpleCData):  # noqa: N801
        _type_ = "P"

    c_size_t = c_ulong

    class _Function(CFuncPtr):
        _flags_ = FUNCFLAG_CDECL | FUNCFLAG_USE_ERRNO
        _restype_ = c_int

    class _LockedFunction(CFuncPtr):
        _flags_ = FUNCFLAG_CDECL | FUNCFLAG_USE_ERRNO | FUNCFLAG_PYTHONAPI
        _restype_ = c_int

    class CDLL:
        """The functions that this process has loaded, each called without the interpreter's lock."""

        _kind = _Function

        def __init__(self, name, *, use_errno):
            self._handle = dlopen(name, 0)

        def __getitem__(self, name):
            return self._kind((name, self))

    class PyDLL(CDLL):
        """The same, called with the lock."""

        _kind = _LockedFunction

    def create_string_buffer(init, size=None):
        """An array of char: of `init` bytes, or with `init` and as large as it or `size`."""
        if isinstance(init, int):
            return (c_char * init)()
        buffer = (c_char * (len(init) + 1 if size is None else size))()
        buffer.value = init
        return buffer

    def _memory(address, *argtypes):
        function = _LockedFunction(address)
        function.argtypes = argtypes
        function.restype = c_void_p
        return function

    memmove = _memory(_memmove_addr, c_void_p, c_void_p, c_size_t)
    memset = _memory(_memset_addr, c_void_p, c_int, c_size_t)


__all__ = [
    "CDLL",
    "PyDLL",
    "addressof",
    "c_char_p",
    "c_int",
    "c_long",
    "c_size_t",
    "c_uint",
    "c_ulong",
    "c_void_p",
    "create_string_buffer",
    "get_errno",
    "memmove",
    "memset",
]
