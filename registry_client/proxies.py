"""Which proxy a request goes through: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY, as Go's tools read them.

NO_PROXY is a comma-separated list of ``*``, host names (which take their subdomains along), names with
a leading dot (subdomains only), addresses and CIDR blocks, each perhaps with a port. This machine
itself is never reached through a proxy.
"""

import ipaddress
from collections.abc import Mapping

from layerstore.errors import UsageError
from registry_client.origin import Origin, is_loopback

_SCHEMES = frozenset({"http", "https", "socks4", "socks4a", "socks5", "socks5h"})


def proxy_for(url: str, environment: Mapping[str, str]) -> str | None:
    """The proxy's URL for `url`, or None to go straight. Lower-case variables win, as with curl.

    Raises `UsageError` for a proxy of an unknown kind.
    """
    origin = Origin.of(url)
    if is_loopback(origin.host) or _is_exempt(origin, _variable(environment, "no_proxy")):
        return None
    proxy = _variable(environment, f"{origin.scheme}_proxy") or _variable(environment, "all_proxy")
    if not proxy:
        return None
    url = proxy if "://" in proxy else f"http://{proxy}"
    if url.partition("://")[0].lower() not in _SCHEMES:
        raise UsageError(f"cannot use the proxy for {origin}: neither http, https nor socks")
    return url


def _variable(environment: Mapping[str, str], name: str) -> str:
    # A CGI server sets HTTP_PROXY from a request's Proxy field (CVE-2016-5385): not under one.
    if name == "http_proxy" and "REQUEST_METHOD" in environment:
        return environment.get(name, "").strip()
    return (environment.get(name) or environment.get(name.upper()) or "").strip()


def _is_exempt(origin: Origin, exemptions: str) -> bool:
    return any(_covers(rule.strip().lower(), origin) for rule in exemptions.split(",") if rule.strip())


def _covers(rule: str, origin: Origin) -> bool:
    if rule == "*":
        return True
    network = _network(rule)
    if network is not None:
        address = _address(origin.host)
        return address is not None and address in network
    host, port = _split_rule(rule)
    if port is not None and port != origin.port:
        return False
    address = _address(host)
    if address is not None:
        return address == _address(origin.host)
    suffix = host.removeprefix("*")
    if suffix.startswith("."):
        return origin.host.endswith(suffix)
    return origin.host == suffix or origin.host.endswith(f".{suffix}")


def _split_rule(rule: str) -> tuple[str, int | None]:
    if _address(rule) is not None:  # a bare IPv6 address: its colons are no port
        return rule, None
    host, colon, port = rule.rpartition(":")
    if colon and port.isascii() and port.isdigit():
        return host.strip("[]"), int(port)
    return rule.strip("[]"), None


def _network(rule: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    if "/" not in rule:
        return None
    try:
        return ipaddress.ip_network(rule, strict=False)
    except ValueError:
        return None


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
