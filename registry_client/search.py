"""Finding repositories: docker's search where a registry has it, else its catalogue.

Docker registry API v1, "Search"; distribution specification, "_catalog" (an extension).
"""

from collections.abc import Iterator
from itertools import islice

from layerstore.dataclass import dataclass
from layerstore.errors import InvalidDocument, RegistryError
from layerstore.oci.document import Json, as_object, items, natural, parse_object, text
from registry_client.listing import names
from registry_client.site import Site

MAX_ANSWER = 8 << 20
"""Bytes of a search's answer."""
MAX_RESULTS = 100
"""What docker's search gives at most."""


@dataclass(frozen=True, slots=True)
class Found:
    """One repository that a search found."""

    name: str
    description: str = ""
    stars: int = 0
    is_official: bool = False

    @classmethod
    def from_json(cls, value: Json) -> "Found":
        """One element of a search's results. Raises `InvalidDocument`."""
        source = as_object(value)
        return cls(
            text(source, "name"),
            text(source, "description"),
            natural(source, "star_count", 0),
            source.get("is_official") is True,
        )


def search(site: Site, term: str, *, limit: int) -> tuple[Found, ...]:
    """At most `limit` repositories that docker's search at `site` finds for `term`, in its order.

    Raises `RegistryError`, `LimitExceeded`.
    """
    query = (("q", term), ("n", str(min(limit, MAX_RESULTS))))
    what = f"search results of {site.name}"
    page = site.read(site.root_url("v1/search", query), MAX_ANSWER, site.asked(what, "search"))
    try:
        found = items(
            parse_object(page.data, what, limit=MAX_ANSWER), "results", Found.from_json, limit=10_000
        )
    except InvalidDocument as error:
        raise RegistryError(f"{what}: {error.message}") from error
    return found[:limit]


def search_catalogue(site: Site, term: str, *, limit: int) -> tuple[Found, ...]:
    """At most `limit` repositories in the catalogue of `site` that have `term` in their name.

    Raises `RegistryError`, `LimitExceeded`.
    """
    return tuple(islice(_matching(site, term), limit))


def _matching(site: Site, term: str) -> Iterator[Found]:
    for name in names(site, "_catalog", "repositories", f"catalogue of {site.name}"):
        if term in name:
            yield Found(name)
