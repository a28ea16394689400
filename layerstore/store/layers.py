"""Layers uncompressed: derived from blobs, kept under their diff_id, made durable lazily.

What a driver made of a layer (a tar and its index, or a directory) can always be made again from the
blob, which *is* durable before a ref names it. So a pull does not wait for the disk to take the much
larger uncompressed form: a layer is written to the *unsealed* list of this boot before it appears, and
leaves the list once a later transaction has synced it (`Layers.sync_old`). After a crash of the machine
the layers on an older boot's list are suspects, and are verified before their next use.
docs/adr/0002-derived-layers-are-sealed-later.md has the measurements.
"""

import os
import time
from collections.abc import Callable, Iterable, Mapping, Set
from contextlib import suppress

from layerstore.disk.faults import CrashPoint
from layerstore.disk.publish import move, remove_file, write_file
from layerstore.disk.trees import remove_trees, sync_tree
from layerstore.errors import InvalidDigest
from layerstore.oci.digest import Digest
from layerstore.store.layout import Layout, parse_name

_UNSEALED = "unsealed-"
SEAL_AFTER = 60.0
"""Seconds after which the kernel has written a file back by itself (twice its 30), so that syncing it is cheap."""
MAX_UNSEALED = 64 << 20
_MADE_OF = "user.lstore.of."
"""Prefix of the attributes of a layer's directory, one for each blob that unpacked to the layer."""

_LISTED = CrashPoint("layers: listed as unsealed")
_PUBLISHED = CrashPoint("layers: one layer published")

Identity = tuple[int, int] | None
"""Inode and time of change (ns) of a layer's directory, which renaming it to its place sets; None if it is gone."""

_NOTHING: Mapping[Digest, Identity] = {}

Verify = Callable[[Digest, str], bool]
"""Whether what lies in a layer's directory is what its diff_id says."""


class Layers:
    """The uncompressed layers of one store. `boot` is the kernel's boot id, a name for this run of the machine."""

    def __init__(self, layout: Layout, boot: str) -> None:
        self._layout = layout
        self._boot = boot
        self._suspects: frozenset[Digest] | None = None

    def has(self, diff_id: Digest) -> bool:
        """Whether the layer is there and no suspect."""
        return diff_id not in self.suspects() and os.path.isdir(self._layout.layer(diff_id))

    def path(self, diff_id: Digest) -> str:
        """The directory where the layer is or would be."""
        return self._layout.layer(diff_id)

    def names(self) -> tuple[Digest, ...]:
        """The diff_ids of all layers on disk, suspects too, sorted."""
        found = (parse_name(name) for name in os.listdir(self._layout.layers))
        return tuple(sorted(digest for digest in found if digest is not None))

    def is_made_of(self, diff_id: Digest, blob: Digest) -> bool:
        """Whether it is known that the blob unpacks to this layer: an image may claim it of any two."""
        if blob == diff_id:
            return True
        try:
            os.getxattr(self.path(diff_id), _MADE_OF + blob.encoded)
        except OSError:
            return False
        return True

    def note_made_of(self, diff_id: Digest, blob: Digest) -> None:
        """Note that the blob, as the caller has seen, unpacks to this layer, which is there.

        A note that is lost, or that the file system has no room for, costs no more than finding out again.
        """
        if blob != diff_id:
            with suppress(OSError):
                os.setxattr(self.path(diff_id), _MADE_OF + blob.encoded, b"")

    def suspects(self) -> frozenset[Digest]:
        """Layers that an earlier boot wrote and never sealed.

        They are looked for once: while this boot lasts, no other layer becomes one.
        """
        if self._suspects is None:
            lists = [os.path.join(self._layout.layers, name) for name in self._older_lists()]
            self._suspects = frozenset(digest for path in lists for digest in _read_list(path))
        return self._suspects

    def publish(self, staged: Mapping[Digest, str], synced: Mapping[Digest, Identity] = _NOTHING) -> None:
        """Move each staged directory to its diff_id, unsealed, and take `synced` layers off the list.

        A staged directory that is gone was published by another process. The caller holds the store
        lock, exclusive. Raises ``OSError``.
        """
        sealed = {each for each, identity in synced.items() if _identity(self.path(each)) == identity}
        fresh = {
            diff_id: path
            for diff_id, path in staged.items()
            if os.path.isdir(path) and not os.path.isdir(self.path(diff_id))
        }
        if fresh or sealed:
            self._write_list(self._unsealed() - sealed | set(fresh))
            _LISTED.reach()
        for diff_id, path in fresh.items():
            move(path, self.path(diff_id))
            _PUBLISHED.reach()

    def sync_old(self, now: float | None = None) -> dict[Digest, Identity]:
        """Make durable what this boot wrote more than `SEAL_AFTER` ago; which layers that were, for `publish`.

        Needs no lock. A layer that cannot be synced stays on the list.
        """
        limit = (time.time() if now is None else now) - SEAL_AFTER
        synced: dict[Digest, Identity] = {}
        for diff_id in self._unsealed():
            identity = _identity(self.path(diff_id))
            if identity is None or identity[1] < limit * 1e9:
                with suppress(OSError):
                    sync_tree(self.path(diff_id))
                    synced[diff_id] = identity
        return synced

    def examine(self, verify: Verify) -> tuple[Digest, ...]:
        """Verify each suspect; keep what holds, remove the rest, and give what was removed.

        The caller holds the store lock, exclusive. Raises ``OSError``.
        """
        self._suspects = None
        lists = self._older_lists()
        bad = tuple(each for each in sorted(self.suspects()) if not self._holds(each, verify))
        self.remove(bad)
        for name in lists:
            remove_file(os.path.join(self._layout.layers, name))
        self._suspects = frozenset()
        return bad

    def remove(self, diff_ids: Iterable[Digest]) -> None:
        """Remove layers, each at once for whoever looks, even after a power cut. Idempotent.

        The caller holds the store lock, exclusive. Raises ``OSError``.
        """
        remove_trees(map(self.path, diff_ids))

    def spent_lists(self, alive: Set[Digest]) -> tuple[str, ...]:
        """The paths of unsealed lists that name none of the layers `alive`."""
        paths = [
            self._list_path(),
            *(os.path.join(self._layout.layers, name) for name in self._older_lists()),
        ]
        return tuple(path for path in paths if os.path.exists(path) and not _read_list(path) & alive)

    def _holds(self, diff_id: Digest, verify: Verify) -> bool:
        path = self.path(diff_id)
        if not os.path.isdir(path) or not verify(diff_id, path):
            return False
        sync_tree(path)
        return True

    def _older_lists(self) -> list[str]:
        names = os.listdir(self._layout.layers)
        return [name for name in names if name.startswith(_UNSEALED) and name != _UNSEALED + self._boot]

    def _list_path(self) -> str:
        return os.path.join(self._layout.layers, _UNSEALED + self._boot)

    def _unsealed(self) -> set[Digest]:
        return _read_list(self._list_path())

    def _write_list(self, diff_ids: set[Digest]) -> None:
        if diff_ids:
            write_file(self._list_path(), "".join(f"{each}\n" for each in sorted(diff_ids)).encode())
        else:
            remove_file(self._list_path())


def read_boot_id(path: str = "/proc/sys/kernel/random/boot_id") -> str:
    """The name that the kernel gave to this run of the machine, random(4).

    Where the kernel does not say, a name that nobody else has: then nothing is taken for written in this run.
    """
    try:
        with open(path, encoding="ascii") as stream:
            return stream.read(64).strip()
    except OSError:
        return f"unknown-{os.urandom(8).hex()}"


def _identity(path: str) -> Identity:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_ctime_ns


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
