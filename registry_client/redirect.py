"""Where a redirect leads, and what may come along: nothing secret to another origin. RFC 9110, section 15.4."""

from urllib.parse import urljoin

from layerstore.dataclass import replace
from layerstore.errors import RegistryError
from registry_client.messages import Request, Response
from registry_client.origin import Origin, is_local

MAX_REDIRECTS = 8
_STATUSES = frozenset({301, 302, 303, 307, 308})
_SECRET_FIELDS = ("Authorization", "Cookie", "Proxy-Authorization")


def is_redirect(response: Response) -> bool:
    """Whether the answer is elsewhere."""
    return response.status in _STATUSES and response.headers.get("location") is not None


def follow(request: Request, response: Response) -> Request:
    """The request that `response`, a redirect, asks for instead of `request`.

    Credentials stay behind at another host, port or scheme (CVE-2020-15157). Raises `RegistryError`
    where following would send a body to another origin, or lead from a public host to this machine.
    """
    target = locate(response)
    here, there = Origin.of(request.url), Origin.of(target)
    if request.method not in ("GET", "HEAD") and (here != there or response.status not in (307, 308)):
        raise RegistryError(f"{here} redirects a {request.method} to {there}, which is refused")
    moved = replace(request, url=target)
    if here != there:
        for field in _SECRET_FIELDS:
            moved = moved.with_header(field, None)
    return moved


def locate(response: Response, default: str | None = None) -> str:
    """The absolute URL that the Location field of `response` names, be it relative; without a fragment.

    Raises `RegistryError` where there is none and no `default`, or where it leads from a public host to this machine.
    """
    here = Origin.of(response.url)
    location = response.headers.get("location") or default
    if not location:
        raise RegistryError(f"{here} answered {response.status} without a location")
    try:
        target = urljoin(response.url, location).partition("#")[0]
    except ValueError as error:
        raise RegistryError(f"{here} answered with a malformed location: {error}") from error
    there = Origin.of(target)
    if is_local(there.host) and not is_local(here.host):
        raise RegistryError(f"{here} leads to {there}, which is this machine or its link: refused")
    return target
