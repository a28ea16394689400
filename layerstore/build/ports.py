"""Port specifications: ``80``, ``8000-8010/udp``; and the host parts that EXPOSE takes and ignores."""

from typing import Final, NamedTuple

from layerstore.build.go_text import parse_natural
from layerstore.errors import InvalidInput

_PROTOCOLS: Final = frozenset({"tcp", "udp", "sctp"})
_MAX_PORT: Final = 65535


class PortSpec(NamedTuple):
    """What one word of EXPOSE names."""

    first: int
    last: int
    protocol: str
    has_host_part: bool
    """Whether an address or a host's port is in it."""

    def ports(self) -> tuple[str, ...]:
        """Each as an image's configuration has it: ``80/tcp``."""
        return tuple(f"{port}/{self.protocol}" for port in range(self.first, self.last + 1))


def parse_port(text: str) -> PortSpec:
    """The ports that ``[[ip:]host:]port[-port][/protocol]`` names. Raises `InvalidInput`."""
    host, _, container = text.rpartition(":")
    port, _, protocol = container.partition("/")
    if not port:
        raise InvalidInput(f"no port specified: {text}<empty>")
    protocol = protocol.lower() or "tcp"
    if protocol not in _PROTOCOLS:
        raise InvalidInput(f"invalid proto: {protocol}")
    first, last = _range(port, "containerPort")
    _check_host(host, first, last)
    return PortSpec(first, last, protocol, bool(host))


def _check_host(host: str, first: int, last: int) -> None:
    address, _, port = host.rpartition(":")
    if address:
        import ipaddress  # noqa: PLC0415 - as slow to import as the rest of the language, and hardly ever needed

        try:
            ipaddress.ip_address(address.removeprefix("[").removesuffix("]"))
        except ValueError as error:
            raise InvalidInput(f"invalid IP address: {address}") from error
    if port:
        host_first, host_last = _range(port, "hostPort")
        if host_last - host_first != last - first and first != last:
            raise InvalidInput(
                f"invalid ranges specified for container and host ports: {first}-{last} and {port}"
            )


def _range(text: str, what: str) -> tuple[int, int]:
    parts = text.split("-")
    first, last = parse_natural(parts[0], _MAX_PORT), parse_natural(parts[-1], _MAX_PORT)
    if len(parts) > 2 or first is None or last is None or first > last:
        raise InvalidInput(f"invalid {what}: {text}")
    return first, last
