"""Layers uncompressed: derived from blobs, kept under their diff_id, made durable lazily.

What a driver made of a layer (a tar and its index, or a directory) can always be made again from the
blob, which *is* durable before a ref names it. So a pull does not wait for the disk to take the much
larger uncompressed form: a layer is written to the *unsealed* list of this boot before it appears, and
leaves the list once a later transaction has synced it. After a crash of the machine the layers on an
older boot's list are suspects, and are verified before their next use.
docs/adr/0002-derived-layers-are-sealed-later.md has the measurements.
"""

import os
import time
from collections.abc import Callable

from layerstore.disk.faults import CrashPoint
from layerstore.disk.publish import move, remove_file, sync_directory, sync_file, write_file
from layerstore.disk.trees import remove_tree
from layerstore.errors import InvalidDigest
from layerstore.oci.digest import Digest
from layerstore.store.layout import Layout, parse_name

_UNSEALED = "unsealed-"
SEAL_AFTER = 60.0
"""Seconds after which the kernel has written a file back by itself (twice its 30), so that syncing it is cheap."""
MAX_UNSEALED = 64 << 20

_LISTED = CrashPoint("layers: listed as unsealed")
_PUBLISHED = CrashPoint("layers: one layer published")

Verify = Callable[[Digest, str], bool]
"""Whether what lies in a layer's directory is what its diff_id says."""


class Layers:
    """The uncompressed layers of one store. `boot` is the kernel's boot id, a name for this run of the machine."""

    def __init__(self, layout: Layout, boot: str) -> None:
        self._layout = layout
        self._boot = boot

    def has(self, diff_id: Digest) -> bool:
        """Whether the layer is there and no suspect."""
        return os.path.isdir(self._layout.layer(diff_id)) and diff_id not in self.suspects()

    def path(self, diff_id: Digest) -> str:
        """The directory where the layer is or would be."""
        return self._layout.layer(diff_id)

    def names(self) -> tuple[Digest, ...]:
        """The diff_ids of all layers on disk, suspects too, sorted."""
        found = (parse_name(name) for name in os.listdir(self._layout.layers))
        return tuple(sorted(digest for digest in found if digest is not None))

    def suspects(self) -> set[Digest]:
        """Layers that an earlier boot wrote and never sealed."""
        found: set[Digest] = set()
        for name in os.listdir(self._layout.layers):
            if name.startswith(_UNSEALED) and name != _UNSEALED + self._boot:
                found.update(_read_list(os.path.join(self._layout.layers, name)))
        return found

    def publish(self, staged: dict[Digest, str]) -> None:
        """Move each staged directory to its diff_id, unsealed. The caller holds the store lock, exclusive."""
        fresh = {diff_id: path for diff_id, path in staged.items() if not os.path.isdir(self.path(diff_id))}
        if not fresh:
            return
        self._write_list(self._unsealed() | set(fresh))
        _LISTED.reach()
        for diff_id, path in fresh.items():
            move(path, self.path(diff_id))
            _PUBLISHED.reach()
        sync_directory(self._layout.layers)

    def seal(self, now: float | None = None) -> None:
        """Make durable what this boot wrote a while ago, and take it off the list.

        The caller holds the store lock, exclusive. Layers younger than `SEAL_AFTER` are left for later.
        """
        moment = time.time() if now is None else now
        waiting = self._unsealed()
        young = {each for each in waiting if self._age(each, moment) < SEAL_AFTER}
        for diff_id in waiting - young:
            _sync_tree(self.path(diff_id))
        if young != waiting:
            self._write_list(young)

    def examine(self, verify: Verify) -> tuple[Digest, ...]:
        """Verify each suspect; keep what holds, remove the rest, and give what was removed.

        The caller holds the store lock, exclusive.
        """
        suspects = sorted(self.suspects())
        bad = tuple(each for each in suspects if not self._holds(each, verify))
        for diff_id in bad:
            remove_tree(self.path(diff_id))
        sync_directory(self._layout.layers)
        for name in os.listdir(self._layout.layers):
            if name.startswith(_UNSEALED) and name != _UNSEALED + self._boot:
                remove_file(os.path.join(self._layout.layers, name))
        return bad

    def _holds(self, diff_id: Digest, verify: Verify) -> bool:
        path = self.path(diff_id)
        if not os.path.isdir(path) or not verify(diff_id, path):
            return False
        _sync_tree(path)
        return True

    def _age(self, diff_id: Digest, now: float) -> float:
        try:
            return now - os.stat(self.path(diff_id)).st_ctime
        except FileNotFoundError:
            return SEAL_AFTER

    def _unsealed(self) -> set[Digest]:
        return _read_list(os.path.join(self._layout.layers, _UNSEALED + self._boot))

    def _write_list(self, diff_ids: set[Digest]) -> None:
        path = os.path.join(self._layout.layers, _UNSEALED + self._boot)
        if diff_ids:
            write_file(path, "".join(f"{each}\n" for each in sorted(diff_ids)).encode())
        else:
            remove_file(path)


def read_boot_id(path: str = "/proc/sys/kernel/random/boot_id") -> str:
    """The name that the kernel gave to this run of the machine, random(4); "unknown" where it has none."""
    try:
        with open(path, encoding="ascii") as stream:
            return stream.read(64).strip()
    except OSError:
        return "unknown"


def _read_list(path: str) -> set[Digest]:
    try:
        with open(path, "rb") as stream:
            lines = stream.read(MAX_UNSEALED).decode("ascii", "replace").splitlines()
    except FileNotFoundError:
        return set()
    found: set[Digest] = set()
    for line in lines:
        try:
            found.add(Digest.parse(line))
        except InvalidDigest:
            continue
    return found


def _sync_tree(path: str) -> None:
    """Make everything below `path` durable; nothing where it is gone."""
    for directory, _, files in os.walk(path):
        for name in files:
            full = os.path.join(directory, name)
            if os.path.isfile(full) and not os.path.islink(full):
                sync_file(full)
        sync_directory(directory)
