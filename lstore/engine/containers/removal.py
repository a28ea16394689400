"""Removing what a container has on disk. In monitors, too, so nothing heavy is imported."""

from __future__ import annotations

import os

from layerstore.disk.removal import remove_tree, set_aside
from layerstore.errors import NotFound, storage_error
from runner import cgroups, events
from runner.home import Home, release_name
from runner.mapped import call_mapped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runner.order import Order


def remove_files(home: Home, containers: str, name: str, snapshot: str) -> None:
    """Remove the container in `home`, which does not run: its name, its snapshot, its directory.

    The caller holds its lock. Raises `StorageError`, `LaunchError`.
    """
    try:
        cgroups.remove(home.path)
        if name:
            release_name(containers, name, home.id)
        # Out of sight first: whoever waits for the lock then finds no container.
        aside = set_aside(home.path) if os.path.isdir(home.path) else ""
    except OSError as error:
        raise storage_error(error, f"remove container {home.id[:12]}") from error
    call_mapped(lambda: _remove_trees(snapshot, aside))


def _remove_trees(*paths: str) -> None:
    """Runs as whoever owns what the container wrote: without root, that may be subordinate ids."""
    for path in paths:
        if path:
            remove_tree(path)


def remove_ended(wanted: Order) -> None:
    """Remove a container that was to be removed at its end, from its monitor.

    Raises `LaunchError`, `StorageError`.
    """
    home = Home(wanted.containers, wanted.config.id)
    try:
        lock = home.lock()
    except NotFound:
        return
    # It may have another name by now; as a rule it has not, and then this process never imports a parser.
    name = wanted.config.name if home.keeps(wanted.config) else home.config().name
    remove_files(home, wanted.containers, name, wanted.snapshot)
    events.record(wanted.containers, "destroy", wanted.config)
    lock.close()
