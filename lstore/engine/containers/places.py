"""Where a store's containers are, and finding one by what people call it."""

from __future__ import annotations

import os

from layerstore.errors import Conflict, NotFound, UsageError
from runner.home import Home, named

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lstore.engine.engine import Engine

ID_LENGTH = 64
_HEX = frozenset("0123456789abcdef")
_ALPHANUMERIC = frozenset("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_IN_NAMES = _ALPHANUMERIC | frozenset("_.-")
_LONGEST_NAME = 128


def containers_of(engine: Engine) -> str:
    """The directory of all containers."""
    return engine.layout.containers


def snapshot_of(engine: Engine, identifier: str) -> str:
    """The directory of what a container wrote."""
    return os.path.join(engine.layout.snapshots, "active", identifier)


def homes(engine: Engine) -> list[Home]:
    """All containers' directories, those that are being made or removed too."""
    return homes_in(containers_of(engine))


def homes_in(containers: str) -> list[Home]:
    """The same, of any such directory."""
    try:
        names = os.listdir(containers)
    except FileNotFoundError:
        return []
    return [Home(containers, name) for name in sorted(names) if is_id(name)]


def is_id(text: str) -> bool:
    """Whether `text` has the form of a container's whole id."""
    return len(text) == ID_LENGTH and _HEX.issuperset(text)


def check_name(name: str) -> str:
    """`name`, which a container may have. Raises `UsageError`."""
    if not is_name(name):
        raise UsageError(f"invalid container name {name[:128]!r}: only [a-zA-Z0-9][a-zA-Z0-9_.-]+ is allowed")
    return name


def is_name(text: str) -> bool:
    """Whether a container may be called that: [a-zA-Z0-9][a-zA-Z0-9_.-]{1,127}, without ``re``."""
    return 1 < len(text) <= _LONGEST_NAME and text[0] in _ALPHANUMERIC and _IN_NAMES.issuperset(text)


def find(engine: Engine, text: str) -> Home:
    """The container whose id, name or unique prefix of an id `text` is: docker's order.

    Raises `NotFound`, and `Conflict` for a prefix of several.
    """
    containers = containers_of(engine)
    if is_id(text) and os.path.isdir(os.path.join(containers, text)):
        return Home(containers, text)
    identifier = named(containers, text.removeprefix("/")) if is_name(text.removeprefix("/")) else None
    if identifier is not None:
        return Home(containers, identifier)
    found = [home for home in homes(engine) if text and home.id.startswith(text)]
    if len(found) > 1:
        raise Conflict(
            f"several containers have ids that start with {text}: {', '.join(h.id[:12] for h in found)}"
        )
    if not found:
        raise NotFound(f"no such container: {text}", hint="lstore ps --all")
    return found[0]
