"""Lists that come in pages: tags, catalogue, referrers. Distribution specification, "Listing tags"; RFC 8288."""

import re
from collections.abc import Iterator, Mapping
from urllib.parse import urljoin

from layerstore.errors import InvalidDocument, LimitExceeded, RegistryError
from layerstore.oci.document import Object, as_text, items, parse_object
from registry_client.failures import Asked
from registry_client.origin import Origin
from registry_client.site import Site

MAX_PAGE = 8 << 20
"""Bytes of one page."""
MAX_PAGES = 10_000
MAX_ENTRIES = 1_000_000
"""Names in one list, over all its pages."""
PAGE_LENGTH = 1000
"""Names asked for at once."""
_NEXT = re.compile(r'<([^<>]{1,4096})>(?=[^<]*;\s*rel="?next"?)', re.IGNORECASE)


def pages(
    site: Site, url: str, asked: Asked, *, headers: Mapping[str, str] | None = None
) -> Iterator[Object]:
    """Each page from `url` on, as a JSON object. Raises `LimitExceeded` for a list without end."""
    home = Origin.of(url)
    seen: set[str] = set()
    following: str | None = url
    while following is not None:
        if following in seen or len(seen) >= MAX_PAGES:
            raise LimitExceeded(f"{asked.what} has no end")
        seen.add(following)
        page = site.read(following, MAX_PAGE, asked, headers=headers)
        try:
            yield parse_object(page.data, asked.what, limit=MAX_PAGE)
        except InvalidDocument as error:
            raise RegistryError(error.message) from error
        following = next_page(page.url, page.headers.all("link"))
        if following is not None and Origin.of(following) != home:
            raise RegistryError(f"{asked.what} goes on at {Origin.of(following)}, which is refused")


def next_page(url: str, links: list[str]) -> str | None:
    """The absolute URL of the page after `url`, from its Link fields; None at the end."""
    for link in links:
        match = _NEXT.search(link)
        if match is not None:
            return str(urljoin(url, match[1]))
    return None


def names(site: Site, path: str, key: str, what: str) -> Iterator[str]:
    """The texts in the arrays `key` of all pages at `path`, in the registry's order. Raises as `pages` does."""
    total = 0
    for page in pages(site, site.url(path, (("n", str(PAGE_LENGTH)),)), site.asked(what)):
        try:
            found = items(page, key, as_text, limit=MAX_ENTRIES - total)
        except InvalidDocument as error:
            raise RegistryError(f"{what}: {error.message}") from error
        total += len(found)
        yield from found
