"""Fall-back: each site in its order, a mirror's failure being the next one's turn."""

from collections.abc import Callable, Collection
from typing import TypeVar

from layerstore.errors import LstoreError, Unreachable
from layerstore.progress import Progress
from registry_client.site import Site

T = TypeVar("T")


class Mirrors:
    """The sites that one repository may be read from, the origin last."""

    def __init__(self, sites: tuple[Site, ...], progress: Progress) -> None:
        self._sites = sites
        self._progress = progress
        self._unreachable: set[Site] = set()

    def ask(self, attempt: Callable[[Site], T], *, skipping: Collection[Site] = ()) -> T:
        """What `attempt` makes of the first site where it succeeds. Raises what it raises at the origin.

        A mirror that could not be reached is not asked again; those in `skipping` are not asked now.
        """
        *mirrors, origin = self._sites
        for mirror in mirrors:
            if mirror in self._unreachable or mirror in skipping:
                continue
            try:
                return attempt(mirror)
            except LstoreError as error:  # whatever a mirror does wrong, the origin may do right
                if isinstance(error, Unreachable):
                    self._unreachable.add(mirror)
                self._progress.note(f"mirror {mirror.host.authority}: {error.message}; asking the next")
        return attempt(origin)
