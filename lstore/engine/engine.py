"""The composition root: settings → store, snapshotter, registry client. What `lstore.open` gives.

Verbs live in modules of their own and take the parts they need; an `Engine` holds the parts. Nothing
heavy is imported before it is needed (design.md, promise 8).
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING

from layerstore.errors import UsageError
from layerstore.oci.platform import Platform
from layerstore.progress import SILENT, Progress
from layerstore.snapshot.choice import DriverChoice, choose_driver
from layerstore.snapshot.snapshotter import Snapshotter
from layerstore.store.store import Store, open_store

if TYPE_CHECKING:
    from registry_client.client import Client

SYSTEM_ROOT = "/var/lib/lstore"


@dataclass(frozen=True)
class Engine:
    """One store and the ways in and out of it."""

    root: str
    driver: str | None = None
    config: str | None = None
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    platform: Platform = field(default_factory=lambda: Platform.host(os.uname().machine))

    @cached_property
    def store(self) -> Store:
        """The store, made where it is missing. Raises `StorageError`, `StoreDamaged`."""
        return open_store(self.root, self.platform)

    @cached_property
    def driver_choice(self) -> DriverChoice:
        """Which driver is used, and why. Raises `UsageError`, `MissingFeature`."""
        return choose_driver(self.driver)

    @cached_property
    def snapshotter(self) -> Snapshotter:
        """The store's snapshots."""
        return Snapshotter(self.store, self.driver_choice.driver)

    @contextmanager
    def registries(self, progress: Progress = SILENT) -> Iterator["Client"]:
        """A client of all registries, as configured; closed at the end of the block."""
        from lstore.engine.registries import open_client

        with open_client(self.config, self.environment, progress) as client:
            yield client


def default_root(uid: int, environment: Mapping[str, str]) -> str:
    """Where the store of a user is, unless they say otherwise: design.md, "The store on disk"."""
    if uid == 0:
        return SYSTEM_ROOT
    data = environment.get("XDG_DATA_HOME")
    if not data or not os.path.isabs(data):
        home = environment.get("HOME")
        if not home:
            raise UsageError("cannot tell where the store is: HOME is not set", hint="lstore --root DIR …")
        data = os.path.join(home, ".local", "share")
    return os.path.join(data, "lstore")
