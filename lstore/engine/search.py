"""`search`: the repositories of a registry that fit some words."""

from typing import TYPE_CHECKING

from layerstore.oci.reference import DEFAULT_REGISTRY
from lstore.engine.login import registry_name

if TYPE_CHECKING:
    from lstore.engine.engine import Engine
    from registry_client.search import Found


def search(engine: "Engine", term: str, *, limit: int) -> tuple["Found", ...]:
    """At most `limit` repositories for `term`, which may start with a registry: ``host:5000/term``.

    Raises `RegistryError`.
    """
    registry, slash, rest = term.partition("/")
    is_host = bool(slash) and (any(mark in registry for mark in ".:[") or registry == "localhost")
    with engine.registries() as client:
        if is_host:
            return client.search(registry_name(registry), rest, limit=limit)
        return client.search(DEFAULT_REGISTRY, term, limit=limit)
