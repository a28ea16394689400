"""Origins: scheme, host and port, the bound within which a credential may travel. RFC 6454."""

import ipaddress
import re
import socket
from urllib.parse import urlsplit

from layerstore.dataclass import dataclass
from layerstore.errors import RegistryError

_PORTS = {"http": 80, "https": 443}
_UNSAFE = re.compile(r"[\x00-\x20\x7f\\]")
_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a URL leads, its port said even where it is the scheme's own."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> "Origin":
        """The origin of an absolute http or https URL that names no user. Raises `RegistryError`."""
        if _UNSAFE.search(url):
            raise RegistryError(f"cannot use the URL {url[:_SHOWN]!r}: it has blanks or control characters")
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise RegistryError(f"cannot use the URL {url[:_SHOWN]!r}: {error}") from error
        if parts.scheme not in _PORTS or not parts.hostname:
            raise RegistryError(f"cannot use the URL {url[:_SHOWN]!r}: neither http nor https")
        if "@" in parts.netloc:
            raise RegistryError(f"cannot use the URL of {parts.hostname[:_SHOWN]}: it has a user name in it")
        return cls(parts.scheme, parts.hostname.lower(), port or _PORTS[parts.scheme])

    @property
    def authority(self) -> str:
        """``host`` or ``host:port``, as people write it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"


def is_loopback(host: str) -> bool:
    """Whether `host`, without brackets, is this machine by its spelling: 127.0.0.0/8, ::1, localhost."""
    address = _literal(host)
    return _is_localhost(host) if address is None else address.is_loopback


def is_local(host: str) -> bool:
    """Whether `host` is loopback, link-local (cloud metadata services) or unspecified by its spelling."""
    address = _literal(host)
    if address is None:
        return _is_localhost(host)
    hidden = _embedded(address)
    return any(each.is_loopback or each.is_link_local or each.is_unspecified for each in (address, hidden))


def split_authority(authority: str) -> tuple[str, int | None]:
    """Host, without brackets, and port of ``host[:port]``; the port is None where it is absent.

    Raises `RegistryError`.
    """
    parts = urlsplit(f"//{authority}")
    try:
        return (parts.hostname or "", parts.port)
    except ValueError as error:
        raise RegistryError(f"cannot use the registry host {authority[:_SHOWN]!r}: {error}") from error


def _is_localhost(host: str) -> bool:
    name = host.rstrip(".").lower()
    return name == "localhost" or name.endswith(".localhost")


def _literal(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that `host` spells, in any form that the resolver takes ("127.1", "0x7f000001")."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        try:
            return ipaddress.IPv4Address(socket.inet_aton(host.rstrip(".")))
        except (OSError, ValueError):  # ValueError: a name that is not ASCII
            return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _embedded(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    if isinstance(address, ipaddress.IPv4Address):
        return address
    return address.sixtofour or address
