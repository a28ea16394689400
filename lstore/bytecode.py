"""The byte code of all our modules in one file: a command's imports take two thirds of the time, see docs/adr/0008.

For each module Python searches directories, and opens, checks and reads a ``.pyc`` of its own. This file holds
the same bytes side by side. A module is taken from it while its source has the time and size that it was compiled at,
as Python itself checks (PEP 552); else, and where there is no such file, it is imported as ever. Whoever may write
beside the ``.pyc`` files keeps it fresh, at the end of a command; it is no part of what is installed.
"""

from __future__ import annotations

import marshal
import mmap
import os
import sys
from _frozen_importlib_external import (  # importlib itself costs what this saves for three modules
    MAGIC_NUMBER,
    SourceFileLoader,
    spec_from_file_location,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from importlib.machinery import ModuleSpec
    from types import CodeType, ModuleType

    Entry = tuple[bool, int, int, int, int]
    """A module: whether it is a package, its source's time and size, and where its code begins and ends."""

_HOME = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_PACKAGES = ("layerstore", "lstore", "registry_client", "runner")
_CACHE = "__pycache__"
_TAG = str(sys.implementation.cache_tag)
_PATH = os.path.join(_HOME, "lstore", _CACHE, f"modules.{_TAG}")
_MAGIC = b"lstore 1" + MAGIC_NUMBER
_NUMBER = 4
_HEADER = len(_MAGIC) + _NUMBER
_PYC_HEADER = 16
_32_BITS = 0xFFFFFFFF

_caches: list[str] = []
"""The directories of ``.pyc`` files that the file in use was made of."""
_mapped: list[mmap.mmap] = []
"""The file in use."""


class _Loader(SourceFileLoader):
    """Has the code at hand; all else is as for any source."""

    def __init__(self, name: str, path: str, code: memoryview) -> None:
        super().__init__(name, path)
        self._code = code

    def get_code(self, fullname: str) -> CodeType | None:
        if fullname != self.name:
            return super().get_code(fullname)
        code: CodeType = marshal.loads(self._code)  # noqa: S302 - ours, as the .pyc files that Python reads
        return code


class _Finder:
    """Finds modules in the file."""

    def __init__(self, table: dict[str, Entry], code: memoryview) -> None:
        self._table = table
        self._code = code

    def find_spec(
        self, name: str, _path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """What importlib asks for; None where another finder is to look."""
        if name not in self._table:
            return None
        is_package, changed, size, begin, end = self._table[name]
        path = _source(name, is_package=is_package)
        try:
            status = os.stat(path)
        except OSError:
            return None
        if (int(status.st_mtime) & _32_BITS, status.st_size & _32_BITS) != (changed, size):
            return None
        loader = _Loader(name, path, self._code[begin:end])
        inside = [os.path.dirname(path)] if is_package else None
        return spec_from_file_location(name, path, loader=loader, submodule_search_locations=inside)


def use() -> None:
    """Import from the file from now on, if there is one that this Python can read."""
    try:
        content = _content()
        begin = _HEADER + int.from_bytes(content[len(_MAGIC) : _HEADER], "little")
        caches, table = marshal.loads(content[_HEADER:begin])  # noqa: S302 - as above
    except (OSError, ValueError, EOFError, TypeError):  # none, or nothing that `keep_fresh` wrote to its end
        return
    sys.meta_path.insert(0, _Finder(table, content[begin:]))
    _caches.extend(caches)


def give_back() -> None:
    """Have no page of the file in memory, for a process that goes on and imports no more, or hardly: madvise(2)."""
    for each in _mapped:
        each.madvise(mmap.MADV_DONTNEED)


def _content() -> memoryview:
    fd = os.open(_PATH, os.O_RDONLY | os.O_CLOEXEC)
    try:
        mapped = mmap.mmap(fd, 0, access=mmap.ACCESS_READ)
    finally:
        os.close(fd)
    content = memoryview(mapped)
    if content[: len(_MAGIC)] != _MAGIC or content[-len(_MAGIC) :] != _MAGIC:
        raise ValueError(_PATH)
    _mapped.append(mapped)
    return content


def keep_fresh() -> None:
    """Write the file anew where byte code is newer than it is. Does nothing where Python is not to write byte code."""
    if sys.dont_write_bytecode or _is_fresh():
        return
    from layerstore.disk.publish import write_passing_file  # noqa: PLC0415 - hardly ever needed

    table: dict[str, Entry] = {}
    codes: list[bytes] = []
    at = 0
    for name, is_package, compiled in _compiled():
        code = compiled[_PYC_HEADER:]
        changed, size = (int.from_bytes(compiled[start : start + _NUMBER], "little") for start in (8, 12))
        table[name] = (is_package, changed, size, at, at + len(code))
        codes.append(code)
        at += len(code)
    packages = (name if entry[0] else name.rpartition(".")[0] for name, entry in table.items())
    caches = {os.path.join(os.path.dirname(_source(each, is_package=True)), _CACHE) for each in packages}
    index = marshal.dumps((sorted(caches), table))
    try:
        write_passing_file(
            _PATH, b"".join((_MAGIC, len(index).to_bytes(_NUMBER, "little"), index, *codes, _MAGIC))
        )
        os.utime(_PATH)  # newer than its directory, which has just changed
    except OSError:
        return


def _is_fresh() -> bool:
    """Whether no byte code that the file was made of was written since."""
    try:
        written = os.stat(_PATH).st_mtime_ns
        return bool(_caches) and all(os.stat(each).st_mtime_ns <= written for each in _caches)
    except OSError:
        return False


def _source(name: str, *, is_package: bool) -> str:
    return f"{_HOME}/{name.replace('.', '/')}{'/__init__' if is_package else ''}.py"


def _compiled() -> Iterator[tuple[str, bool, bytes]]:
    """Each module that is compiled: its name, whether it is a package, and what is in its ``.pyc``."""
    for package in _PACKAGES:
        for directory, below, _ in os.walk(os.path.join(_HOME, package)):
            inside = os.path.relpath(directory, _HOME).split("/")
            for file in sorted(os.listdir(os.path.join(directory, _CACHE))) if _CACHE in below else ():
                stem = file.removesuffix(f".{_TAG}.pyc")
                if stem == file:
                    continue
                with open(os.path.join(directory, _CACHE, file), "rb") as stream:
                    compiled = stream.read()
                if compiled.startswith(MAGIC_NUMBER + bytes(_NUMBER)):  # checked by its source's time
                    is_package = stem == "__init__"
                    yield ".".join(inside if is_package else (*inside, stem)), is_package, compiled
