"""Registry hosts, and the order in which they are asked: mirrors first for reading, the origin alone for writing."""

from layerstore.dataclass import dataclass
from layerstore.oci.reference import DEFAULT_REGISTRY
from registry_client.origin import is_loopback, split_authority
from registry_client.settings import Mirror, RegistrySettings, Settings

_HUB_HOST = "registry-1.docker.io"
_HUB_SEARCH_HOST = "index.docker.io"


@dataclass(frozen=True, slots=True)
class Host:
    """One server that speaks the distribution protocol for some registry."""

    registry: str
    """The name whose credentials are for this host: ``docker.io``, or the host itself."""
    authority: str
    """``host[:port]`` to connect to."""
    schemes: tuple[str, ...]
    """What to try, in this order, until one answers."""
    prefix: str = ""
    """What a mirror puts before repository names."""
    is_mirror: bool = False

    def repository(self, name: str) -> str:
        """The repository `name` as this host calls it."""
        return f"{self.prefix}/{name}" if self.prefix else name


def origin_host(registry: str, settings: Settings) -> Host:
    """The host that `registry` itself is. Raises `RegistryError` for what is no host[:port]."""
    authority = _HUB_HOST if registry == DEFAULT_REGISTRY else registry
    return Host(registry, authority, _schemes(authority, settings.of(registry)))


def search_host(registry: str, settings: Settings) -> Host:
    """The host that answers docker's search for `registry`. Raises `RegistryError` for what is no host[:port]."""
    authority = _HUB_SEARCH_HOST if registry == DEFAULT_REGISTRY else registry
    return Host(registry, authority, _schemes(authority, settings.of(registry)))


def reading_hosts(registry: str, settings: Settings) -> tuple[Host, ...]:
    """All hosts that content of `registry` may be read from, best first; the origin is last.

    Raises as `origin_host` does.
    """
    mirrors = tuple(_mirror_host(mirror) for mirror in settings.of(registry).mirrors)
    return (*mirrors, origin_host(registry, settings))


def _mirror_host(mirror: Mirror) -> Host:
    return Host(mirror.authority, mirror.authority, (mirror.scheme,), mirror.prefix, is_mirror=True)


def _schemes(authority: str, settings: RegistrySettings) -> tuple[str, ...]:
    if settings.is_http:
        return ("http",)
    falls_back = settings.is_insecure or (is_loopback(split_authority(authority)[0]) and settings.ca is None)
    return ("https", "http") if falls_back else ("https",)
