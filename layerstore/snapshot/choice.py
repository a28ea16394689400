"""Which driver this host can use best, found out by trying. ``lstore info`` shows the reason."""

import os
from typing import TYPE_CHECKING

from layerstore.dataclass import dataclass
from layerstore.errors import UsageError
from layerstore.snapshot.driver import Driver

if TYPE_CHECKING:
    from layerstore.snapshot.mapped_trees import IdMapper

EROFS = "erofs"
DIRECTORY = "directory"
NAMES = (EROFS, DIRECTORY)


@dataclass(frozen=True, slots=True)
class DriverChoice:
    """A driver and why it is the one."""

    driver: Driver
    reason: str


def choose_driver(
    name: str | None,
    *,
    uid: int | None = None,
    filesystems: str | None = None,
    ids: "IdMapper | None" = None,
) -> DriverChoice:
    """The driver called `name`, or the best one here where it is None. Raises `UsageError` for an unknown name.

    `uid` and `filesystems` (the text of ``/proc/filesystems``) default to this process's. `ids` are what an
    ordinary user has beside their own.
    """
    if name is not None:
        return DriverChoice(_driver(name, ids), "asked for")
    user = os.geteuid() if uid is None else uid
    if user != 0:
        reason = "an ordinary user cannot mount EROFS, and unpacks layers instead"
        return DriverChoice(_driver(DIRECTORY, ids), reason)
    known = _read_filesystems() if filesystems is None else filesystems
    if "erofs" not in known.split() and not _can_load_erofs():
        return DriverChoice(_driver(DIRECTORY), "this kernel has no EROFS")
    return DriverChoice(_driver(EROFS), "the kernel mounts layers without unpacking them")


def _driver(name: str, ids: "IdMapper | None" = None) -> Driver:
    """The driver called `name`; of the others nothing is imported. Raises `UsageError`."""
    if name == EROFS:
        from layerstore.snapshot.erofs import ErofsDriver  # noqa: PLC0415 - see above

        return ErofsDriver()
    if name == DIRECTORY:
        from layerstore.snapshot.directory import DirectoryDriver  # noqa: PLC0415 - see above

        return DirectoryDriver(ids=ids)
    raise _unknown(name)


def check_name(name: str) -> None:
    """Raises `UsageError` where there is no driver called `name`."""
    if name not in NAMES:
        raise _unknown(name)


def _unknown(name: str) -> UsageError:
    return UsageError(f"there is no driver {name!r}, only {' and '.join(NAMES)}")


def _read_filesystems() -> str:
    with open("/proc/filesystems", encoding="ascii") as stream:
        return stream.read()


def _can_load_erofs() -> bool:
    """Whether the module is there to be loaded when it is first mounted; the kernel does that by itself."""
    try:
        with open(f"/lib/modules/{os.uname().release}/modules.dep", encoding="utf-8") as stream:
            return "/erofs.ko" in stream.read()
    except OSError:
        return False
