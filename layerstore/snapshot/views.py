"""Views: stacks that are mounted read-only for whoever wants to look, and what is known of them.

    ROOT/mounts/KEY/view   what is mounted where, JSON
    ROOT/mounts/KEY/fs     the mount point, where none was given

A view holds its layers as long as it is mounted. Whether it is, the kernel alone knows: a record is believed
while the mount namespace that it was made in has the mount. A namespace that has ended took it along, and so
does a restart of the machine. Records are written under the store lock, before the mount and again after it.
"""

import os
from collections.abc import Iterator
from contextlib import suppress

from layerstore.dataclass import dataclass, replace
from layerstore.disk.publish import make_directories, write_file
from layerstore.disk.trees import remove_tree
from layerstore.errors import InvalidInput, storage_error
from layerstore.oci.digest import Digest
from layerstore.oci.document import Json, as_text, dump, items, natural, parse_object, required_text, text
from layerstore.oci.manifest import MAX_LAYERS
from layerstore.store.layers import read_boot_id
from layerstore.store.layout import Layout

RECORD = "view"
POINT = "fs"
_MAX_RECORD = 1 << 20
_HOME_MODE = 0o700
"""Images' set-uid programs are nothing for local users (CVE-2021-41091)."""


@dataclass(frozen=True, slots=True)
class View:
    """One view: of what `name` meant when it was mounted, whose digest or container id `id` is."""

    key: str
    name: str
    id: str
    target: str
    """Absolute path of the mount point, in its namespace."""
    diff_ids: tuple[Digest, ...]
    boot: str
    namespace: int
    """The mount namespace's inode number, namespaces(7)."""
    mount: str = ""
    """What tells its mount from a later one at the same place; empty until it is mounted."""

    @classmethod
    def parse(cls, key: str, raw: bytes) -> "View":
        """The view that a record spells. Raises `InvalidInput`."""
        source = parse_object(raw, "record of a mount", limit=_MAX_RECORD)
        return cls(
            key,
            required_text(source, "name"),
            required_text(source, "id"),
            required_text(source, "target"),
            items(source, "diff_ids", lambda value: Digest.parse(as_text(value)), limit=MAX_LAYERS),
            required_text(source, "boot"),
            natural(source, "namespace"),
            text(source, "mount"),
        )

    def to_bytes(self) -> bytes:
        """The bytes of its record."""
        fields: dict[str, Json] = {
            "name": self.name,
            "id": self.id,
            "target": self.target,
            "diff_ids": [str(each) for each in self.diff_ids],
            "boot": self.boot,
            "namespace": self.namespace,
            "mount": self.mount,
        }
        return dump(fields)


class Views:
    """The views of one store."""

    def __init__(self, layout: Layout, boot: str) -> None:
        self._home = layout.mounts
        self._boot = boot

    def point(self, key: str) -> str:
        """Where the view `key` is mounted if nobody says where."""
        return os.path.join(self._home, key, POINT)

    def record(self, view: View) -> None:
        """Keep what is known of `view` now. The caller holds the store lock. Raises ``OSError``."""
        path = os.path.join(self._home, view.key)
        make_directories(path, mode=_HOME_MODE)
        if view.target == self.point(view.key):
            os.makedirs(view.target, mode=_HOME_MODE, exist_ok=True)
        write_file(os.path.join(path, RECORD), view.to_bytes())

    def confirm(self, view: View) -> View:
        """`view`, just mounted here and recorded again, so that its mount is told from later ones."""
        mounted = replace(view, mount=_mounts("self").get(view.target, ""))
        self.record(mounted)
        return mounted

    def new(self, name: str, identity: str, diff_ids: tuple[Digest, ...], target: str | None) -> View:
        """A view that is not recorded yet, of this boot and this mount namespace."""
        key = os.urandom(8).hex()
        place = os.path.realpath(target) if target is not None else self.point(key)
        return View(key, name, identity, place, diff_ids, self._boot, own_namespace())

    def forget(self, view: View) -> None:
        """Remove the record of `view`, which is not mounted. The caller holds the store lock. Raises ``OSError``."""
        remove_tree(os.path.join(self._home, view.key))

    def mounted(self) -> tuple[View, ...]:
        """The views that are mounted now, in any namespace, by mount point. Raises `StorageError`."""
        found = [view for view in map(self._read, self._keys()) if view is not None and self.is_mounted(view)]
        return tuple(sorted(found, key=lambda view: view.target))

    def stale(self) -> tuple[str, ...]:
        """The paths of what is left of views that are mounted no more. Called under the store lock.

        Raises `StorageError`.
        """
        live = {view.key for view in self.mounted()}
        return tuple(os.path.join(self._home, key) for key in self._keys() if key not in live)

    def is_mounted(self, view: View) -> bool:
        """Whether the kernel still has the mount that `view` speaks of."""
        if view.boot != self._boot:
            return False
        found = _table_of(view.namespace).get(view.target)
        return found is not None and view.mount in ("", found)

    def _keys(self) -> list[str]:
        try:
            return sorted(os.listdir(self._home))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise storage_error(error, f"read {self._home}") from error

    def _read(self, key: str) -> View | None:
        """The record `key`; None where it is damaged, and so nothing that anybody could go by."""
        try:
            with open(os.path.join(self._home, key, RECORD), "rb") as stream:
                return View.parse(key, stream.read(_MAX_RECORD + 1))
        except (FileNotFoundError, NotADirectoryError, InvalidInput):
            return None
        except OSError as error:
            raise storage_error(error, f"read {os.path.join(self._home, key)}") from error


def open_views(layout: Layout) -> Views:
    """The views of the store at `layout`, seen in this run of the machine."""
    return Views(layout, read_boot_id())


def is_mount_point(path: str) -> bool:
    """Whether something is mounted at `path` in the calling process's mount namespace."""
    return os.path.realpath(path) in _mounts("self")


def own_namespace() -> int:
    """The inode number of the calling process's mount namespace."""
    return os.stat("/proc/self/ns/mnt").st_ino


def processes_in(namespace: int) -> Iterator[str]:
    """The numbers of the processes in that mount namespace.

    Those that hide from us are taken to be elsewhere: whoever may mount may look at those who see the mount.
    """
    for name in filter(str.isdigit, os.listdir("/proc")):
        with suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            if os.stat(f"/proc/{name}/ns/mnt").st_ino == namespace:
                yield name


def _table_of(namespace: int) -> dict[str, str]:
    """What is mounted in that namespace; nothing where no process is left in it."""
    if namespace == own_namespace():
        return _mounts("self")
    for process in processes_in(namespace):
        with suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            return _mounts(process)
    return {}


def _mounts(process: str) -> dict[str, str]:
    """Each mount point of a process, and what is mounted there last: device, root, file system and source.

    Device numbers are given out again at once, so alone they tell no mount from its successor. proc(5),
    mountinfo.
    """
    found: dict[str, str] = {}
    with open(f"/proc/{process}/mountinfo", "rb") as stream:
        for line in stream:
            fields, _, kind = line.partition(b" - ")
            _, _, device, root, point, *_ = fields.split(b" ")
            what = b" ".join((device, root, *kind.split(b" ")[:2]))
            found[os.fsdecode(_unescaped(point))] = what.decode("utf-8", "backslashreplace")
    return found


def _unescaped(path: bytes) -> bytes:
    """`path` with the octal escapes of space, tab, newline and backslash undone."""
    first, *rest = path.split(b"\\")
    return first + b"".join(bytes((int(part[:3], 8),)) + part[3:] for part in rest)
