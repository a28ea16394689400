"""Settings per registry: mirrors, TLS, plain http. From lstore's TOML and docker's daemon.json, already parsed.

The format is described, for people, in docs/registries.md. Nothing here touches a file.
"""

import ipaddress
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from layerstore.dataclass import dataclass, field, replace
from layerstore.errors import RegistryError, UsageError
from layerstore.oci.document import Json, Object
from layerstore.oci.reference import DEFAULT_REGISTRY
from registry_client.origin import Origin, split_authority

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_KEYS = frozenset({"mirrors", "insecure", "http", "ca", "client-cert", "client-key"})


@dataclass(frozen=True, slots=True)
class Mirror:
    """Another host that serves a registry's repositories, perhaps below a repository prefix."""

    authority: str
    prefix: str = ""
    scheme: str = "https"

    @classmethod
    def parse(cls, url: str) -> "Mirror":
        """The mirror at ``http[s]://host[:port][/prefix]``. Raises `UsageError`."""
        try:
            origin = Origin.of(url)
        except RegistryError as error:
            raise UsageError(f"cannot use the mirror {url!r}: {error.message}") from error
        parts = urlsplit(url)
        if parts.query or parts.fragment:
            raise UsageError(f"cannot use the mirror {url!r}: it has a query or a fragment")
        prefix = parts.path.strip("/").removeprefix("v2").strip("/")
        return cls(origin.authority, prefix, origin.scheme)


@dataclass(frozen=True, slots=True)
class RegistrySettings:
    """How one registry host is spoken to."""

    mirrors: tuple[Mirror, ...] = ()
    is_insecure: bool = False
    """Any certificate will do, and plain http if there is no TLS."""
    is_http: bool = False
    """Plain http only."""
    ca: str | None = None
    """A PEM file of certificate authorities, trusted besides the system's."""
    client_certificate: str | None = None
    client_key: str | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """What was configured for each registry host (``docker.io``, ``host:port``)."""

    registries: Mapping[str, RegistrySettings] = field(default_factory=dict)
    insecure_networks: tuple[Network, ...] = ()

    def of(self, registry: str) -> RegistrySettings:
        """The settings for `registry`; defaults where none were made."""
        found = self.registries.get(registry, RegistrySettings())
        if not found.is_insecure and self._is_in_insecure_network(registry):
            return replace(found, is_insecure=True)
        return found

    def over(self, base: "Settings") -> "Settings":
        """`base` with these settings in the place of its own, registry by registry."""
        return Settings(
            {**base.registries, **self.registries}, (*self.insecure_networks, *base.insecure_networks)
        )

    def _is_in_insecure_network(self, registry: str) -> bool:
        try:
            address = ipaddress.ip_address(split_authority(registry)[0])
        except (ValueError, RegistryError):
            return False
        return any(address in network for network in self.insecure_networks)


def from_toml(document: Object) -> Settings:
    """The settings in the ``registry`` tables of lstore's configuration.

    Raises `UsageError`, which says what is wrong; in which file, whoever read it knows.
    """
    unknown = sorted(document.keys() - {"registry"})
    if unknown:
        raise UsageError(f"there is no setting {unknown[0]!r}")
    tables = document.get("registry", {})
    if not isinstance(tables, Mapping):
        raise UsageError('"registry" is not a table')
    return Settings({host: _registry(host, table) for host, table in tables.items()})


def from_daemon_json(document: Object) -> Settings:
    """The ``registry-mirrors`` and ``insecure-registries`` of docker's daemon.json. Raises `UsageError`.

    Docker's mirrors are for Docker Hub alone.
    """
    registries: dict[str, RegistrySettings] = {}
    networks: list[Network] = []
    for entry in _texts("top level", document, "insecure-registries"):
        network = _network(entry)
        if network is not None:
            networks.append(network)
        else:
            host = entry.partition("://")[2] or entry
            registries[host.rstrip("/")] = RegistrySettings(is_insecure=True)
    mirrors = tuple(Mirror.parse(url) for url in _texts("top level", document, "registry-mirrors"))
    if mirrors:
        hub = registries.get(DEFAULT_REGISTRY, RegistrySettings())
        registries[DEFAULT_REGISTRY] = replace(hub, mirrors=mirrors)
    return Settings(registries, tuple(networks))


def _registry(host: str, table: Json) -> RegistrySettings:
    where = f'registry."{host}"'
    if not isinstance(table, Mapping):
        raise UsageError(f"{where} is not a table")
    unknown = sorted(table.keys() - _KEYS)
    if unknown:
        raise UsageError(f"{where} has no setting {unknown[0]!r}")
    certificate, key = _text(where, table, "client-cert"), _text(where, table, "client-key")
    if (certificate is None) != (key is None):
        raise UsageError(f"{where} needs both client-cert and client-key")
    return RegistrySettings(
        mirrors=tuple(Mirror.parse(url) for url in _texts(where, table, "mirrors")),
        is_insecure=_flag(where, table, "insecure"),
        is_http=_flag(where, table, "http"),
        ca=_text(where, table, "ca"),
        client_certificate=certificate,
        client_key=key,
    )


def _flag(where: str, table: Object, key: str) -> bool:
    value = table.get(key, False)
    if not isinstance(value, bool):
        raise UsageError(f"{where}: {key} is neither true nor false")
    return value


def _text(where: str, table: Object, key: str) -> str | None:
    value = table.get(key)
    if value is not None and (not isinstance(value, str) or not value):
        raise UsageError(f"{where}: {key} is not a path")
    return value


def _texts(where: str, table: Object, key: str) -> Sequence[str]:
    value = table.get(key, [])
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise UsageError(f"{where}: {key} is not a list of texts")
    return [each for each in value if isinstance(each, str)]


def _network(text: str) -> Network | None:
    try:
        return ipaddress.ip_network(text, strict=False) if "/" in text else None
    except ValueError:
        return None
