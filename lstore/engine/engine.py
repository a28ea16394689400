"""The composition root: settings → store, snapshotter, registry client. What `lstore.open` gives.

Verbs live in modules of their own and take the parts they need; an `Engine` holds the parts. Nothing
heavy is imported before it is needed.
"""

from __future__ import annotations

import errno
import os

from layerstore.errors import UsageError
from layerstore.lazy import lazy
from layerstore.progress import SILENT
from layerstore.store.layout import Layout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

    from layerstore.oci.platform import Platform
    from layerstore.progress import Progress
    from layerstore.snapshot.choice import DriverChoice
    from layerstore.snapshot.mapped_trees import IdMapper
    from layerstore.snapshot.snapshotter import Snapshotter
    from layerstore.store.store import Store
    from layerstore.tasks import Cancellation
    from registry_client.client import Client

SYSTEM_ROOT = "/var/lib/lstore"
_NOTHING: Mapping[str, str] = {}


class Engine:
    """One store and the ways in and out of it."""

    def __init__(
        self,
        root: str,
        driver: str | None = None,
        config: str | None = None,
        environment: Mapping[str, str] = _NOTHING,
    ) -> None:
        self.root = root
        self.driver = driver
        self.config = config
        self.environment = environment
        if os.geteuid() != 0:
            from layerstore.disk.removal import remove_others_with

            remove_others_with(_remove_as_their_owners)

    @lazy
    def platform(self) -> Platform:
        """What images have to run on."""
        from layerstore.oci.platform import Platform

        return Platform.host(os.uname().machine)

    @lazy
    def layout(self) -> Layout:
        """Where things lie in the store, which is made where it is missing. Raises `StorageError`, `StoreDamaged`."""
        layout = Layout(os.path.abspath(self.root))
        layout.create()
        return layout

    @lazy
    def store(self) -> Store:
        """The store, made where it is missing. Raises `StorageError`, `StoreDamaged`."""
        from layerstore.store.store import open_store

        return open_store(self.root, self.platform)

    @lazy
    def ids(self) -> IdMapper | None:
        """The ids that an ordinary user has beside their own, if any."""
        if os.geteuid() == 0:
            return None
        from lstore.engine.subordinate import subordinate_ids

        return subordinate_ids()

    @lazy
    def driver_choice(self) -> DriverChoice:
        """Which driver is used, and why. Raises `UsageError`, `MissingFeature`."""
        from layerstore.snapshot.choice import choose_driver

        return choose_driver(self.driver, ids=self.ids)

    @lazy
    def snapshotter(self) -> Snapshotter:
        """The store's snapshots."""
        from layerstore.snapshot.snapshotter import Snapshotter

        return Snapshotter(self.store, self.driver_choice.driver)

    def registries(
        self, progress: Progress = SILENT, cancellation: Cancellation | None = None
    ) -> AbstractContextManager[Client]:
        """A client of all registries, as configured; closed at the end of the block, broken off by `cancellation`.

        Raises as `open_client` does.
        """
        from lstore.engine.registries import open_client

        return open_client(self.config, self.environment, progress, cancellation)


def _remove_as_their_owners(path: str) -> None:
    """Raises ``PermissionError`` where the user has no ids that could own it, `StorageError`, `LaunchError`."""
    from layerstore.snapshot.mapped_trees import remove_mapped
    from lstore.engine.subordinate import subordinate_ids

    ids = subordinate_ids()
    if ids is None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
    remove_mapped(ids, path)


def default_root(uid: int, environment: Mapping[str, str]) -> str:
    """Where the store of a user is, unless they say otherwise. Raises `UsageError` where nothing tells."""
    if uid == 0:
        return SYSTEM_ROOT
    data = environment.get("XDG_DATA_HOME")
    if not data or not os.path.isabs(data):
        home = environment.get("HOME")
        if not home:
            raise UsageError("cannot tell where the store is: HOME is not set", hint="lstore --root DIR …")
        data = os.path.join(home, ".local", "share")
    return os.path.join(data, "lstore")
